//! What operations cost in a calm world, to the request.

use std::sync::Arc;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{IdType, Raw};
use sana_engine::namespace::request::{
    Aggregate, AttributeRequest, Consistency, Direction, Include, Operator, OrderKey, Predicate,
    QueryRequest, Rank, RawDocument, Want, WriteRequest,
};

use super::*;
use crate::choices::Choices;
use crate::model::values;
use crate::swarm;
use crate::workload::Ask;

/// What it is on record to cost.
const ON_RECORD: &str = include_str!("costs.txt");

fn name(name: &str) -> AttributeName {
    AttributeName::parse(name).unwrap()
}

fn write(request: WriteRequest) -> Ask {
    Ask::Write(Arc::new(WriteRequest { id_type: Some(IdType::Uint), ..request }))
}

fn put(id: i128, bytes: usize) -> Ask {
    let text = Raw::Text("x".repeat(bytes).into());
    let attributes = vec![(name("n"), Raw::Integer(id)), (name("body"), text)];
    let upserts = Some(vec![RawDocument { id: Raw::Integer(id), attributes }]);
    let text = AttributeRequest::of(values::type_of("body").unwrap());
    let body = AttributeRequest { filterable: Some(false), ..text };
    write(WriteRequest { upserts, schema: vec![(name("body"), body)], ..WriteRequest::default() })
}

fn patch(id: i128) -> Ask {
    let attributes = vec![(name("n"), Raw::Integer(-id))];
    let patches = Some(vec![RawDocument { id: Raw::Integer(id), attributes }]);
    write(WriteRequest { patches, ..WriteRequest::default() })
}

fn ask(filter: Option<Predicate>, want: Want) -> Ask {
    Ask::Query(Arc::new(QueryRequest { filter, want, consistency: Consistency::Strong }))
}

fn compare(attribute: &str, operand: i128) -> Predicate {
    let operand = Raw::Integer(operand);
    Predicate::Compare { attribute: attribute.into(), operator: Operator::Eq, operand }
}

fn rows(by: &[&str]) -> Want {
    let by = by.iter().map(|key| (OrderKey::Attribute(name(key)), Direction::Descending));
    Want::rows(Rank::By(by.collect()), 3, Include::All)
}

/// Lets everything happen until the client has its answer, and then for a while.
fn settle(world: &mut World, while_ms: u64) {
    let until = world.now + 60_000;
    while world.clients[0].waiting.is_some() && world.now < until {
        world.happen().unwrap();
    }
    let until = world.now + while_ms;
    while world.events.has_until(until) {
        world.happen().unwrap();
    }
    world.now = until;
}

#[test]
fn in_a_calm_world_operations_cost_what_is_on_record() {
    let size = Size { clients_per_space: 1, ..swarm::size(1, 1_000) };
    let mut world = World::new(Choices::told(Ways::new(), 1), size, Story::silent());
    settle(&mut world, 50);
    let count = |name: &str| vec![(name.to_owned(), Aggregate::Count)];
    let script: [(&str, Ask, u64); 14] = [
        ("the first write", put(1, 10), 0),
        ("a small write", put(2, 10), 0),
        ("a patch of what is in the log", patch(2), 0),
        ("rows of what is in the log", ask(None, rows(&["n"])), 20_000),
        ("a patch of what is indexed", patch(1), 20_000),
        ("a batch of 100 KiB", put(3, 100_000), 0),
        ("a batch of 2 MiB", put(4, 2 << 20), 40_000),
        ("a lookup", ask(Some(compare("id", 1)), rows(&[])), 0),
        ("rows by a filter", ask(Some(compare("n", 3)), rows(&[])), 0),
        ("rows in an order", ask(None, rows(&["n"])), 0),
        ("a count", ask(None, Want::Aggregates(count("all"))), 0),
        ("a count by a filter", ask(Some(compare("n", 3)), Want::Aggregates(count("some"))), 0),
        ("a deletion", Ask::Remove, 40_000),
        ("rows of nothing", ask(None, rows(&[])), 0),
    ];
    let mut table = String::new();
    for (what, asked, pause) in script {
        let before = world.watch.counts.costs.clone();
        world.ask(0, 0, asked).unwrap();
        settle(&mut world, pause);
        let since = world.watch.counts.costs.since(&before);
        table += &[what, ": ", &since.join(", "), "\n"].concat();
    }
    assert_eq!(table, ON_RECORD, "if you know why, put this on record:\n{table}");
}
