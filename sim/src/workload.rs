//! What clients ask: writes and queries of every kind, drawn by weight.
//!
//! Values are unique, so what a query finds says which write it saw. Ids are few, so that writes meet.

use core::time::Duration;
use std::sync::Arc;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Raw, ScalarType, Type};
use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{
    Aggregate, AttributeRequest, ByFilter, Compute, Consistency, Create, Direction, GroupKey,
    Idempotency, Include, Operator, OrderKey, Per, Predicate, QueryRequest, Rank, RawDocument,
    Search, Want, WriteRequest,
};

use crate::choices::{Choices, Site};
use crate::model;

/// Something a client asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// To write.
    Write(Arc<WriteRequest>),
    /// To delete the namespace.
    Remove,
    /// To find documents.
    Query(Arc<QueryRequest>),
}

/// How often clients ask what, by weight. Drawn for each seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mix {
    /// Different ids.
    pub ids: u64,
    /// Writes.
    pub writes: u32,
    /// Queries.
    pub queries: u32,
    /// Deletions of the namespace.
    pub removals: u32,
    /// Of a thousand writes, those under an idempotency key.
    pub keyed: u32,
    /// Of a thousand writes, those under conditions.
    pub conditional: u32,
    /// Of a thousand writes, those of what a filter matches.
    pub by_filter: u32,
    /// Of a thousand writes, those that drop an attribute.
    pub drops: u32,
    /// Of a thousand writes, those that lock the namespace or unlock it.
    pub locks: u32,
    /// Of a thousand queries, those content with a stale answer.
    pub stale: u32,
    /// Of a thousand documents, those with a long text.
    pub large: u32,
    /// How long a text that is.
    pub large_bytes: usize,
}

impl Mix {
    /// A mix for one seed.
    pub fn draw(choices: &mut Choices) -> Self {
        let mut pick = |from: &[u32]| from[choices.choose(Site::Profile, from.len())];
        Self {
            ids: u64::from(pick(&[2, 6, 12, 40])),
            writes: pick(&[20, 60, 100]),
            queries: pick(&[20, 60]),
            removals: pick(&[0, 0, 1, 4]),
            keyed: pick(&[0, 300, 1_000]),
            conditional: pick(&[0, 0, 300]),
            by_filter: pick(&[0, 0, 150]),
            drops: pick(&[0, 0, 30]),
            locks: pick(&[0, 0, 30]),
            stale: pick(&[0, 200, 800]),
            large: pick(&[0, 0, 0, 100]),
            large_bytes: pick(&[70_000, 400_000]) as usize,
        }
    }

    /// What a client asks; in a calm world nothing. `unique` was never given before.
    pub fn ask(&self, choices: &mut Choices, unique: u64) -> Option<Ask> {
        match choices.weigh(Site::Workload, &[0, self.writes, self.queries, self.removals]) {
            0 => None,
            1 => Some(Ask::Write(Arc::new(self.write(choices, unique)))),
            2 => Some(Ask::Query(Arc::new(self.query(choices)))),
            _ => Some(Ask::Remove),
        }
    }

    fn write(&self, choices: &mut Choices, unique: u64) -> WriteRequest {
        if choices.chance(Site::Workload, self.drops) {
            let dropped = ["tags", "text", "v"][choices.choose(Site::Workload, 3)];
            return WriteRequest { drops: vec![name(dropped)], ..WriteRequest::default() };
        }
        if choices.chance(Site::Workload, self.locks) {
            // More often open than shut, or little would ever be written.
            let read_only = Some(choices.chance(Site::Workload, 300));
            return WriteRequest { read_only, ..WriteRequest::default() };
        }
        let mut ids: Vec<u64> = (0..=choices.choose(Site::Workload, 4))
            .map(|_| choices.between(Site::Workload, 1, self.ids))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut request = WriteRequest { schema: schema(), ..WriteRequest::default() };
        request.metric = Some(Metric::EuclideanSquared);
        if choices.chance(Site::Workload, self.by_filter) {
            self.write_by_filter(choices, unique, &mut request);
            ids.clear();
        }
        for id in ids {
            let raw = Raw::Integer(id.into());
            match choices.choose(Site::Workload, 10) {
                0..6 => {
                    let attributes = self.attributes(choices, unique, true);
                    let document = RawDocument { id: raw, attributes };
                    request.upserts.get_or_insert_default().push(document);
                }
                6..8 => {
                    let attributes = self.attributes(choices, unique, false);
                    let document = RawDocument { id: raw, attributes };
                    request.patches.get_or_insert_default().push(document);
                }
                _ => request.deletes.get_or_insert_default().push(raw),
            }
        }
        if choices.chance(Site::Workload, self.conditional) {
            request.upsert_condition = Some(self.condition(choices));
            request.patch_condition = Some(self.condition(choices));
            request.delete_condition = Some(self.filter(choices, 1));
        }
        if choices.chance(Site::Workload, 20) {
            request.create = Create::Never;
        }
        if choices.chance(Site::Workload, self.keyed) {
            // Now and then a client takes a key that stood for something else.
            let wrong = choices.chance(Site::Workload, 50);
            let key = format!("key {}", if wrong { unique.saturating_sub(3) } else { unique });
            request.idempotency = Some(Idempotency { key, fingerprint: unique.into() });
        }
        request
    }

    /// Removes or changes what a filter matches, or both.
    fn write_by_filter(&self, choices: &mut Choices, unique: u64, request: &mut WriteRequest) {
        let by = |choices: &mut Choices| {
            let filter = self.filter(choices, 1);
            ByFilter { filter, allows_partial: choices.chance(Site::Workload, 500) }
        };
        let which = choices.choose(Site::Workload, 5);
        if which != 0 {
            let changes = self.attributes(choices, unique, false);
            request.patch_by_filter = Some((by(choices), changes));
        }
        if which < 2 {
            request.delete_by_filter = Some(by(choices));
        }
    }

    /// What the document that is there must satisfy: now and then that it is older.
    fn condition(&self, choices: &mut Choices) -> Predicate {
        if choices.chance(Site::Workload, 500) {
            return self.filter(choices, 1);
        }
        let operators = [Operator::Lt, Operator::Lt, Operator::Gte, Operator::NotEq];
        let operator = operators[choices.choose(Site::Workload, operators.len())];
        let attribute = if operator == Operator::NotEq { "text" } else { "n" };
        Predicate::CompareNew { attribute: attribute.into(), operator, new: attribute.into() }
    }

    fn attributes(
        &self,
        choices: &mut Choices,
        unique: u64,
        whole: bool,
    ) -> Vec<(AttributeName, Raw)> {
        let mut attributes = vec![(name("n"), Raw::Integer(unique.into()))];
        if choices.chance(Site::Workload, self.large) {
            let text = format!("{unique} ").repeat(self.large_bytes / 6);
            attributes.push((name("body"), Raw::Text(text.into())));
        }
        if choices.chance(Site::Workload, 600) {
            let text = format!("text {}", choices.choose(Site::Workload, 5));
            attributes.push((name("text"), Raw::Text(text.into())));
        } else if !whole {
            attributes.push((name("text"), Raw::Null));
        }
        if choices.chance(Site::Workload, 500) {
            let count = 1 + choices.choose(Site::Workload, 3);
            let tags = (0..count).map(|_| tag(choices)).collect();
            attributes.push((name("tags"), Raw::List(tags)));
        }
        if whole && choices.chance(Site::Workload, 700) {
            attributes.push((name("v"), vector(choices)));
        }
        attributes
    }

    fn query(&self, choices: &mut Choices) -> QueryRequest {
        let filter = choices.chance(Site::Workload, 500).then(|| self.filter(choices, 2));
        let want = if choices.chance(Site::Workload, 100) {
            let search = |choices: &mut Choices| {
                let filter = choices.chance(Site::Workload, 500).then(|| self.filter(choices, 1));
                Search { filter, want: self.want(choices) }
            };
            let count = 1 + choices.choose(Site::Workload, 3);
            Want::Several { searches: (0..count).map(|_| search(choices)).collect(), fuse: None }
        } else {
            self.want(choices)
        };
        // What is asked of all is asked of each by its own filter.
        let filter = filter.filter(|_| !matches!(want, Want::Several { .. }));
        let consistency = if choices.chance(Site::Workload, self.stale) {
            // Some are content with so little that the way of a reply counts.
            let most = [0, 50, 300, 1_000, 5_000, 20_000];
            let most = most[choices.choose(Site::Workload, most.len())];
            Consistency::Eventual(Duration::from_millis(most))
        } else {
            Consistency::Strong
        };
        QueryRequest { filter, want, consistency }
    }

    fn want(&self, choices: &mut Choices) -> Want {
        let by = |attribute: &str| OrderKey::Attribute(name(attribute));
        let figures =
            || vec![("count".into(), Aggregate::Count), ("sum".into(), Aggregate::Sum(name("n")))];
        match choices.choose(Site::Workload, 12) {
            0..3 => {
                let (rank, limit) = (Rank::By(Vec::new()), 10_000);
                Want::rows(rank, limit, Include::All)
            }
            3..5 => {
                let attribute = if choices.chance(Site::Workload, 500) { "n" } else { "text" };
                let rank = Rank::By(vec![(by(attribute), direction(choices))]);
                let limit = 1 + choices.choose(Site::Workload, 5);
                Want::rows(rank, limit, Include::These(vec![name("n")]))
            }
            5..8 => {
                let rank = Rank::nearest(name("v"), vector(choices));
                let limit = 1 + choices.choose(Site::Workload, 5);
                Want::rows(rank, limit, Include::AllBut(vec![name("body")]))
            }
            8 => {
                let keys = vec![(by("text"), direction(choices)), (by("n"), direction(choices))];
                let limit = 1 + choices.choose(Site::Workload, 2);
                let per = choices.chance(Site::Workload, 500);
                let per = per.then(|| Per { keys: vec![by("text")], limit });
                let matches = ("matches".into(), Compute::Matches(self.filter(choices, 1)));
                let (rank, include) = (Rank::By(keys), Include::Nothing);
                Want::Rows { rank, limit: 4, per, include, compute: vec![matches] }
            }
            9 => {
                let each = choices.chance(Site::Workload, 500);
                let key = by(if each { "tags" } else { "text" });
                let keys = vec![GroupKey { label: "key".into(), key, each }];
                let limit = 1 + choices.choose(Site::Workload, 6);
                Want::Groups { keys, aggregates: figures(), limit }
            }
            _ => Want::Aggregates(figures()),
        }
    }

    fn filter(&self, choices: &mut Choices, depth: u32) -> Predicate {
        let ways = if depth == 0 { 7 } else { 10 };
        let compare = |attribute: &str, operator, operand| Predicate::Compare {
            attribute: attribute.into(),
            operator,
            operand,
        };
        match choices.choose(Site::Workload, ways) {
            0 => {
                let ids = (0..3).map(|_| choices.between(Site::Workload, 1, self.ids));
                let ids = ids.map(|id| Raw::Integer(id.into())).collect();
                compare("id", Operator::In, Raw::List(ids))
            }
            1 => {
                let id = choices.between(Site::Workload, 1, self.ids);
                compare("id", Operator::Eq, Raw::Integer(id.into()))
            }
            2 | 3 => {
                let operators = [Operator::Lt, Operator::Lte, Operator::Gt, Operator::Gte];
                let operator = operators[choices.choose(Site::Workload, 4)];
                let n = choices.between(Site::Workload, 0, 400);
                compare("n", operator, Raw::Integer(n.into()))
            }
            4 => {
                let operators = [Operator::Eq, Operator::NotEq];
                let operator = operators[choices.choose(Site::Workload, 2)];
                let text = format!("text {}", choices.choose(Site::Workload, 5));
                let null = choices.chance(Site::Workload, 200);
                compare("text", operator, if null { Raw::Null } else { Raw::Text(text.into()) })
            }
            5 => compare("tags", Operator::Contains, tag(choices)),
            6 => {
                let tags = vec![tag(choices), tag(choices)];
                compare("tags", Operator::ContainsAny, Raw::List(tags))
            }
            7 => Predicate::And(vec![
                self.filter(choices, depth - 1),
                self.filter(choices, depth - 1),
            ]),
            8 => Predicate::Or(vec![
                self.filter(choices, depth - 1),
                self.filter(choices, depth - 1),
            ]),
            _ => Predicate::Not(Box::new(self.filter(choices, depth - 1))),
        }
    }
}

/// Every attribute of the workload, said with every write: so each life of a namespace has them all.
pub fn schema() -> Vec<(AttributeName, AttributeRequest)> {
    let types = [
        ("body", Type::Scalar(ScalarType::String)),
        ("n", Type::Scalar(ScalarType::Int)),
        ("tags", Type::Array(ScalarType::String)),
        ("text", Type::Scalar(ScalarType::String)),
        ("v", Type::vector(2)),
    ];
    let attribute = |(n, value_type)| {
        // A long text may not be filtered by.
        let filterable = (n == "body").then_some(false);
        (name(n), AttributeRequest { filterable, ..AttributeRequest::of(value_type) })
    };
    types.into_iter().map(attribute).collect()
}

/// The name of an attribute of the workload.
///
/// # Panics
///
/// If it is no name.
pub fn name(name: &str) -> AttributeName {
    AttributeName::parse(name).expect("the workload's names are good")
}

fn direction(choices: &mut Choices) -> Direction {
    if choices.chance(Site::Workload, 500) { Direction::Ascending } else { Direction::Descending }
}

fn tag(choices: &mut Choices) -> Raw {
    let tags = ["red", "green", "blue", "grey"];
    Raw::Text(tags[choices.choose(Site::Workload, tags.len())].into())
}

fn vector(choices: &mut Choices) -> Raw {
    let mut component = || model::component(choices.choose(Site::Workload, 9) as f32 - 4.0);
    Raw::List(vec![component(), component()])
}
