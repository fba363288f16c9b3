//! `POST /v2/namespaces/{ns}/explain_query`: how a query would be answered, in words.
//!
//! What is not indexed is looked at as it is, so there is a plan whether or not anything is indexed.

use bytes::Bytes;
use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::{Head, Live};
use sana_engine::namespace::request::{Consistency, OrderKey, QueryRequest, Rank, Search, Want};
use serde_json::json;

use super::errors::Failure;

/// The plan of a query, as the answer's body.
///
/// # Errors
///
/// 404 if there is no such namespace.
pub(super) fn answer(
    name: &NamespaceName,
    request: &QueryRequest,
    head: &Head,
) -> Result<Bytes, Failure> {
    let live = head.live().ok_or_else(|| Failure::no_namespace(name))?;
    Ok(Bytes::from(json!({"plan_text": plan(request, live)}).to_string()))
}

fn plan(request: &QueryRequest, live: &Live) -> String {
    let view = match request.consistency {
        Consistency::Strong => "the newest view".to_owned(),
        Consistency::Eventual(age) => format!("a view at most {} s old", age.as_secs()),
    };
    let (segments, rows) = (live.manifest.segments.len(), live.manifest.live_rows);
    let (entries, bytes) = (live.log.entries.len(), live.log.unindexed_bytes());
    let mut lines = vec![format!(
        "take {view}: {segments} segments with {rows} rows, {entries} log entries with {bytes} bytes"
    )];
    match &request.want {
        Want::Several { searches, fuse } => {
            for (place, Search { filter, want }) in searches.iter().enumerate() {
                lines.push(format!("search {}:", place + 1));
                lines.extend(search(filter.is_some(), want).map(|line| format!("  {line}")));
            }
            if fuse.is_some() {
                lines.push("fuse the lists by reciprocal ranks".to_owned());
            }
        }
        want => lines.extend(search(request.filter.is_some(), want)),
    }
    lines.join("\n")
}

/// What one search does, step by step.
fn search(is_filtered: bool, want: &Want) -> impl Iterator<Item = String> + use<> {
    let which = if is_filtered {
        "keep the rows that match the filter, pages that cannot match left out"
    } else {
        "keep all rows"
    };
    let then = match want {
        Want::Rows { rank, limit, .. } => format!("{}; take the first {limit}", order(rank)),
        Want::Ids { limit } => format!("take the first {limit} ids"),
        Want::Aggregates(figures) => format!("compute {} figures", figures.len()),
        Want::Groups { keys, aggregates, limit } => format!(
            "group by {} keys, compute {} figures of each; take the first {limit}",
            keys.len(),
            aggregates.len()
        ),
        // A search never holds several.
        Want::Several { .. } => String::new(),
    };
    [which.to_owned(), then].into_iter()
}

fn order(rank: &Rank) -> String {
    match rank {
        Rank::By(keys) if keys.is_empty() => "order by id".to_owned(),
        Rank::By(keys) => {
            let name = |key: &OrderKey| match key {
                OrderKey::Id => "id".to_owned(),
                OrderKey::Attribute(name) => name.to_string(),
            };
            let names: Vec<_> = keys.iter().map(|(key, _)| name(key)).collect();
            format!("order by {}", names.join(", "))
        }
        Rank::Nearest { attribute, is_exact, .. } => {
            let why = if *is_exact { "as asked" } else { "for there is no index of them" };
            format!("compare all vectors of {attribute}, exactly, {why}")
        }
        Rank::Shuffled { attribute, .. } => format!("draw from those that have {attribute}"),
        Rank::Likest { attribute, .. } => {
            format!("compare all sparse vectors of {attribute}, exactly")
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sana_engine::base::name::AttributeName;
    use sana_engine::namespace::request::{
        Aggregate, Direction, GroupKey, Include, Operator, Predicate,
    };

    use super::*;
    use crate::http::metadata::tests::live;

    #[test]
    fn a_plan_says_what_is_done_step_by_step() {
        let a = OrderKey::Attribute(AttributeName::parse("a").unwrap());
        let by = Rank::By(vec![
            (a.clone(), Direction::Ascending),
            (OrderKey::Id, Direction::Descending),
        ]);
        let filter = Predicate::Compare {
            attribute: "a".to_owned(),
            operator: Operator::Eq,
            operand: sana_engine::base::value::Raw::Null,
        };
        let lines = |filter: Option<&Predicate>, want: &Want| {
            search(filter.is_some(), want).collect::<Vec<_>>().join("; ")
        };
        let rows = Want::rows(by, 3, Include::Nothing);
        assert_eq!(lines(None, &rows), "keep all rows; order by a, id; take the first 3");
        let groups = Want::Groups {
            keys: vec![GroupKey { label: "a".to_owned(), key: a, each: false }],
            aggregates: vec![("n".to_owned(), Aggregate::Count)],
            limit: 5,
        };
        let said = lines(Some(&filter), &groups);
        assert!(said.contains("match the filter"), "{said}");
        assert!(said.contains("group by 1 keys, compute 1 figures of each"), "{said}");
        let eventual = Consistency::Eventual(Duration::from_secs(5));
        let searches = vec![Search { filter: Some(filter), want: rows }];
        let want = Want::Several { searches, fuse: None };
        let request = QueryRequest { filter: None, want, consistency: eventual };
        let said = plan(&request, &live(10));
        assert!(
            said.starts_with("take a view at most 5 s old: 0 segments with 0 rows, 1 log entries"),
            "{said}"
        );
        assert!(said.contains("\nsearch 1:\n  keep the rows"), "{said}");
    }
}
