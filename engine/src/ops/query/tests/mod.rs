//! Answers against brute force, what they cost, and what can go wrong.

mod dice;
mod model;
mod patterns;
mod semantics;
mod world;

use proptest::prelude::*;

use crate::base::blob::Blob;
use crate::base::host::{Host, Simd};
use crate::base::limits::WINDOW_BYTES;
use crate::base::name::Key;
use crate::base::time::Timestamp;
use crate::base::value::{Document, Id, IdType, Raw, Scalar, ScalarType, Type, Value, Vector};
use crate::format::frame::{BadObject, Damage};
use crate::format::log::Operation;
use crate::format::schema::Metric;
use crate::machine::request::{Reply, Request};
use crate::machine::{Machine, Step};
use crate::namespace::request::{
    Aggregate, Answer, Consistency, Direction, Found, Include, InvalidQuery, Operator, OrderKey,
    Predicate, QueryError, QueryRequest, Rank, Want,
};
use crate::ops::query::Query;
use dice::Dice;
use world::{DEADLINE, World, document, name};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn every_answer_is_what_brute_force_finds(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let world = dice.world();
        for _ in 0..16 {
            let request = dice.request(&world.schema);
            let run = world.query(&request);
            let answer = run.outcome.unwrap_or_else(|error| panic!("{error} for {request:?}"));
            model::assert_right(&world, &request, &answer);
        }
    }

    /// As the fuzzer asks, which has more time.
    #[test]
    fn a_filter_over_any_values_selects_what_brute_force_does(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_500),
    ) {
        let mut dice = Dice::of(&bytes);
        let world = dice.small_world();
        for _ in 0..4 {
            let request = dice.filtered(&world.schema);
            let run = world.query(&request);
            let answer = run.outcome.unwrap_or_else(|error| panic!("{error} for {request:?}"));
            model::assert_right(&world, &request, &answer);
        }
    }
}

/// Documents 0, 1, … with a number `n`, its remainder `r` and a vector.
fn numbers(count: u64) -> World {
    let int = Type::Scalar(ScalarType::Int);
    let attributes = [("n", int, true), ("r", int, true), ("v", Type::vector(3), false)];
    let mut world = World::new(IdType::Uint, Metric::EuclideanSquared, &attributes);
    let documents = (0..count).map(|id| number(&world, id, id)).collect();
    world.put(documents);
    world
}

fn number(world: &World, id: u64, n: u64) -> Document {
    let int = |n: u64| Value::Scalar(Scalar::Int(n.cast_signed()));
    let vector = Vector::new(vec![n as f32, 0.0, 0.0]).unwrap();
    let values = vec![
        (world.attribute("n"), int(n)),
        (world.attribute("r"), int(n % 10)),
        (world.attribute("v"), Value::Vector(vector)),
    ];
    document(Id::Uint(id), values)
}

fn rows(filter: Option<Predicate>, rank: Rank, limit: usize) -> QueryRequest {
    let want = Want::rows(rank, limit, Include::These(vec![name("n")]));
    QueryRequest { filter, want, consistency: Consistency::Strong }
}

fn count(filter: Option<Predicate>) -> QueryRequest {
    let want = Want::Aggregates(vec![
        ("count".into(), Aggregate::Count),
        ("sum".into(), Aggregate::Sum(name("n"))),
    ]);
    QueryRequest { filter, want, consistency: Consistency::Strong }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a query's filter is optional, and most tests pass it on"
)]
fn compare(attribute: &str, operator: Operator, operand: Raw) -> Option<Predicate> {
    Some(Predicate::Compare { attribute: attribute.into(), operator, operand })
}

fn integers(all: &[i128]) -> Raw {
    Raw::List(all.iter().map(|n| Raw::Integer(*n)).collect())
}

fn nearest(to: i128) -> Rank {
    Rank::nearest(name("v"), integers(&[to, 0, 0]))
}

fn by_n_descending() -> Rank {
    Rank::By(vec![(OrderKey::Attribute(name("n")), Direction::Descending)])
}

fn ids(answer: &Answer) -> Vec<u64> {
    let Found::Rows(rows) = &answer.found else { panic!("rows were asked for") };
    let id = |id: &Id| match id {
        Id::Uint(id) => *id,
        other => panic!("{other} is no number"),
    };
    rows.iter().map(|row| id(&row.id)).collect()
}

/// Runs a query, checks the answer, and says its rounds and requests.
#[track_caller]
fn cost(world: &World, request: &QueryRequest) -> (usize, usize) {
    let run = world.query(request);
    model::assert_right(world, request, &run.outcome.unwrap());
    (run.rounds, run.requests)
}

/// The table of the design counts two rounds more for a cold snapshot: a lookup, a filter, an order
/// and an aggregate cost at most 4 in all, and a search by distance 5.
#[test]
fn a_query_costs_the_rounds_and_requests_of_its_story() {
    let mut world = numbers(100);
    world.flush();
    world.put((100..200).map(|id| number(&world, id, id)).collect());
    world.flush();
    let two = integers(&[7, 150]);
    let few = || compare("r", Operator::Eq, Raw::Integer(3));
    let id_order = Rank::By(Vec::new());
    // The filters of both segments say which one may hold an id.
    let lookup = rows(compare("id", Operator::In, two), id_order.clone(), 10);
    assert_eq!(cost(&world, &lookup), (2, 4));
    let unknown = rows(compare("id", Operator::Eq, Raw::Integer(12_345)), id_order.clone(), 10);
    assert_eq!(cost(&world, &unknown), (0, 0));
    // `r` and the ids of both segments; then `n` of the ten rows, all in the first.
    assert_eq!(cost(&world, &rows(few(), id_order.clone(), 10)), (2, 5));
    assert_eq!(cost(&world, &rows(None, id_order, 10)), (2, 3));
    // `r`, `n` and the ids of both, then `n` of the first rows, all in the second.
    assert_eq!(cost(&world, &rows(few(), by_n_descending(), 10)), (2, 7));
    // The directory knows that no row has this `n`.
    let beyond = || compare("n", Operator::Gt, Raw::Integer(1_000));
    assert_eq!(cost(&world, &rows(beyond(), by_n_descending(), 10)), (0, 0));
    assert_eq!(cost(&world, &count(None)), (1, 2));
    assert_eq!(cost(&world, &count(few())), (1, 4));
    assert_eq!(cost(&world, &count(beyond())), (0, 0));
    // Vectors and ids of both; then `n` of the rows.
    assert_eq!(cost(&world, &rows(None, nearest(5), 3)), (2, 5));
    assert_eq!(cost(&world, &rows(few(), nearest(5), 3)), (3, 7));
}

#[test]
fn replaced_rows_cost_one_more_block_each_and_no_round() {
    let mut world = numbers(100);
    world.flush();
    let words = vec![Operation::Put(number(&world, 7, 1_000)), Operation::Delete(Id::Uint(8))];
    world.write(words);
    let few = compare("n", Operator::Gte, Raw::Integer(90));
    assert_eq!(cost(&world, &rows(few.clone(), by_n_descending(), 20)), (2, 4));
    // Where replaced rows are is known from then on; also when more words come, for those before.
    assert_eq!(cost(&world, &rows(few, by_n_descending(), 20)), (2, 3));
    assert_eq!(cost(&world, &rows(None, nearest(8), 3)), (2, 3));
    assert_eq!(cost(&world, &count(None)), (1, 1));
    world.write(vec![Operation::Put(number(&world, 7, 1_000))]);
    assert_eq!(cost(&world, &count(None)), (1, 2));
    assert_eq!(cost(&world, &count(None)), (1, 1));
    // The overlay answers for its ids.
    let lookup = rows(compare("id", Operator::In, integers(&[7, 8])), Rank::By(Vec::new()), 10);
    assert_eq!(cost(&world, &lookup), (0, 0));
    let found = world.query(&lookup).outcome.unwrap();
    assert_eq!((ids(&found), found.statistics.unindexed_rows), (vec![7], 1));
    assert_eq!(found.statistics.namespace_rows, 101);
}

#[test]
fn zones_spare_pages_and_pages_meet_inside_units() {
    let mut world = numbers(30_000);
    world.flush();
    // One of four pages of `n` decides, one is the page of the answer.
    let one = compare("n", Operator::Eq, Raw::Integer(20_000));
    assert_eq!(cost(&world, &rows(one, Rank::By(Vec::new()), 5)), (2, 3));
    let range = |from, to| {
        let from = compare("n", Operator::Gte, Raw::Integer(from)).unwrap();
        let to = compare("n", Operator::Lt, Raw::Integer(to)).unwrap();
        Some(Predicate::And(vec![from, to]))
    };
    let edges = range(8_000, 9_000);
    cost(&world, &count(edges.clone()));
    cost(&world, &rows(edges.clone(), by_n_descending(), 1_500));
    cost(&world, &rows(edges, nearest(8_500), 700));
    let keys = ["r", "n"].map(|key| (OrderKey::Attribute(name(key)), Direction::Descending));
    cost(&world, &rows(range(100, 29_000), Rank::By(keys.to_vec()), 10_000));
}

#[test]
fn a_scan_larger_than_a_window_takes_a_round_for_each() {
    const DIMENSIONS: usize = 4_096;
    let attributes = [("v", Type::vector(DIMENSIONS as u32), false)];
    let mut world = World::new(IdType::Uint, Metric::Dot, &attributes);
    let vector = |id: u64| {
        let mut components = vec![1.0; DIMENSIONS];
        components[0] = (id * 7_919 % 5_000) as f32;
        vec![(world.attribute("v"), Value::Vector(Vector::new(components).unwrap()))]
    };
    let documents: Vec<_> = (0..5_000).map(|id| document(Id::Uint(id), vector(id))).collect();
    for part in documents.chunks(2_500) {
        world.put(part.to_vec());
        world.flush();
    }
    let to: Vec<i128> =
        core::iter::once(1).chain(core::iter::repeat_n(0, DIMENSIONS - 1)).collect();
    let rank = Rank::nearest(name("v"), integers(&to));
    let want = Want::rows(rank, 3, Include::Nothing);
    let request = QueryRequest { filter: None, want, consistency: Consistency::Strong };
    let run = world.query(&request);
    let all = 5_000 * DIMENSIONS * 4;
    assert_eq!(run.rounds, all.div_ceil(WINDOW_BYTES), "of {} bytes", run.bytes);
    assert!(run.bytes < all + all / 100);
    model::assert_right(&world, &request, &run.outcome.unwrap());
}

#[test]
fn every_processor_finds_the_same() {
    let mut dice = Dice::new(5);
    let mut world = World::new(IdType::Uint, Metric::Cosine, &[("v", Type::vector(37), false)]);
    let attribute = world.attribute("v");
    for half in [0..300, 200..500] {
        let mut vector = || (0..37).map(|_| dice.below(1_000) as f32 / 999.0).collect::<Vec<_>>();
        let documents = half.map(|id| {
            let vector = Vector::new(vector()).unwrap();
            document(Id::Uint(id), vec![(attribute, Value::Vector(vector))])
        });
        let documents = documents.collect();
        world.flush();
        world.put(documents);
    }
    let to = integers(&[3; 37]);
    let rank = Rank::nearest(name("v"), to);
    let want = Want::rows(rank, 400, Include::Nothing);
    let request = QueryRequest { filter: None, want, consistency: Consistency::Strong };
    let scalar = world.query(&request).outcome.unwrap();
    assert_eq!(ids(&scalar).len(), 400);
    for simd in [Simd::Avx2, Simd::Avx512].into_iter().filter(|simd| simd.is_supported()) {
        let run = world.query_on(&request, Host { simd });
        assert_eq!(run.outcome.unwrap(), scalar);
    }
}

#[test]
fn a_large_overlay_is_planned_in_a_step_of_its_own() {
    let world = numbers(5_000);
    let request = count(compare("r", Operator::Eq, Raw::Integer(3)));
    let first = Query::start(Timestamp(3), world.snapshot(), &request, Host::default(), DEADLINE);
    let Step::Wait(query, round) = first else { panic!("it yields") };
    assert!(query.is_heavy() && round.requests.is_empty() && round.until == Timestamp(3));
    let run = world.drive(query.step(Timestamp(3), Vec::new()));
    model::assert_right(&world, &request, &run.outcome.unwrap());
    assert_eq!(run.rounds, 0);
}

#[test]
fn between_words_of_a_large_overlay_a_query_looks_at_its_deadline() {
    let mut world = numbers(20_000);
    world.flush();
    world.put((10_000..30_000).map(|id| number(&world, id, id + 1)).collect());
    let request = count(compare("r", Operator::Eq, Raw::Integer(3)));
    let yields = |now: u64| {
        let mut step =
            Query::start(Timestamp(3), world.snapshot(), &request, Host::default(), DEADLINE);
        let mut steps = 0;
        loop {
            let Step::Wait(query, round) = step else { break (steps, outcome(step)) };
            let replies: Vec<Reply> = round.requests.iter().map(|r| world.reply(r)).collect();
            let sleeps = replies.is_empty();
            assert!(!sleeps || query.is_heavy());
            // Time passes as soon as the overlay is looked at.
            steps += usize::from(sleeps);
            step = query.step(Timestamp(if sleeps && steps > 1 { now } else { 3 }), replies);
        }
    };
    let (steps, found) = yields(3);
    model::assert_right(&world, &request, &found.unwrap());
    assert_eq!(steps, 1 + 20_000 / (WINDOW_BYTES / 4_096));
    assert_eq!(yields(DEADLINE.0), (2, Err(QueryError::TooLong)));
}

/// The first round of a query that reads.
fn reading(world: &World, now: Timestamp) -> (Query, Vec<Request>) {
    let request = rows(None, by_n_descending(), 3);
    let first = Query::start(now, world.snapshot(), &request, Host::default(), DEADLINE);
    let Step::Wait(query, round) = first else { panic!("it reads") };
    assert_eq!(round.until, DEADLINE);
    (query, round.requests)
}

fn outcome(step: Step<Query>) -> Result<Answer, QueryError> {
    match step {
        Step::Done(outcome) => outcome,
        Step::Wait(query, _) => panic!("it is not over: {query:?}"),
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let mut world = numbers(20);
    world.flush();
    let (query, requests) = reading(&world, Timestamp(0));
    let key: Key = requests[0].key().clone();
    let replies = || requests.iter().map(|request| world.reply(request)).collect::<Vec<_>>();
    let ends = |replies, now| outcome(query.clone().step(now, replies));

    let mut missing = replies();
    missing[1] = Reply::Missing;
    assert_eq!(ends(missing, Timestamp(1)), Err(QueryError::Vanished(key.clone())));
    let lost = vec![Reply::Lost; requests.len()];
    assert_eq!(ends(lost, DEADLINE), Err(QueryError::Unavailable));
    let mut late = replies();
    late[0] = Reply::Lost;
    assert_eq!(ends(late.clone(), DEADLINE), Err(QueryError::Unavailable), "it had a minute");
    let (last, _) = reading(&world, Timestamp(DEADLINE.0 - 9_000));
    assert_eq!(outcome(last.step(DEADLINE, late)), Err(QueryError::TooLong));
    assert_eq!(ends(replies(), DEADLINE), Err(QueryError::TooLong), "there is more to read");
    let mut damaged = replies();
    let Reply::Found { body, .. } = &mut damaged[0] else { panic!("it was found") };
    let mut bytes = body.as_slice().to_vec();
    bytes[3] ^= 1;
    *body = Blob::from(bytes);
    let bad = BadObject { key, damage: Damage::Checksum };
    assert_eq!(ends(damaged, Timestamp(1)), Err(QueryError::Damaged(bad)));
}

#[test]
fn any_byte_of_a_segment_that_is_wrong_is_noticed_or_not_read() {
    let mut world = numbers(30);
    world.flush();
    let request = rows(compare("r", Operator::Gt, Raw::Integer(4)), nearest(17), 5);
    let right = world.query(&request).outcome.unwrap();
    let key = world.store.keys().next().unwrap().clone();
    let object = world.store[&key].clone();
    for at in 0..object.len() {
        let mut bytes = object.as_slice().to_vec();
        bytes[at] ^= 0x10;
        world.store.insert(key.clone(), bytes.into());
        match world.query(&request).outcome {
            Ok(answer) => assert_eq!(answer, right),
            Err(error) => assert!(error.to_string().contains(key.as_str()), "{error}"),
        }
        world.store.insert(key.clone(), object.slice(0, at).unwrap());
        match world.query(&request).outcome {
            Ok(answer) => assert_eq!(answer, right),
            Err(error) => assert!(error.to_string().contains(key.as_str()), "{error}"),
        }
    }
}

fn refusal(world: &World, request: &QueryRequest) -> String {
    match world.query(request).outcome {
        Err(QueryError::Invalid(invalid)) => invalid.to_string(),
        other => panic!("{request:?} came to {other:?}"),
    }
}

#[test]
fn what_does_not_fit_the_schema_is_refused_in_the_words_of_the_wire() {
    let text = Raw::Text("x".into());
    let strings = Type::Array(ScalarType::String);
    let attributes = [
        ("tags", strings, true),
        ("n", Type::Scalar(ScalarType::Int), true),
        ("at", Type::Scalar(ScalarType::DateTime), true),
        ("body", Type::Scalar(ScalarType::String), false),
        ("v", Type::vector(2), false),
    ];
    let world = World::new(IdType::Uint, Metric::Cosine, &attributes);
    let filters = [
        ("x", Operator::Eq, Raw::Null, "filter error in key `x`: attribute not found"),
        (
            "tags",
            Operator::ContainsAny,
            text.clone(),
            "filter error in key `tags`: type mismatch, ContainsAny expects []string, but got string",
        ),
        (
            "tags",
            Operator::NotContains,
            Raw::Integer(1),
            "filter error in key `tags`: type mismatch, NotContains expects string, but got int",
        ),
        (
            "tags",
            Operator::Lt,
            text.clone(),
            "filter error in key `tags`: Lt does not apply to attributes of type []string",
        ),
        (
            "n",
            Operator::Contains,
            Raw::Integer(1),
            "filter error in key `n`: Contains does not apply to attributes of type int",
        ),
        (
            "n",
            Operator::In,
            Raw::List(vec![text.clone()]),
            "filter error in key `n`: type mismatch, In expects []int, but got []string",
        ),
        (
            "n",
            Operator::Eq,
            Raw::Integer(1 << 70),
            "filter error in key `n`: type mismatch, Eq expects int, but got 1180591620717411303424",
        ),
        (
            "at",
            Operator::Gt,
            text.clone(),
            "filter error in key `at`: type mismatch, Gt expects datetime, but got 'x'",
        ),
        (
            "id",
            Operator::Eq,
            text.clone(),
            "filter error in key `id`: type mismatch, Eq expects uint, but got string",
        ),
        ("body", Operator::Eq, text, "filter error in key `body`: attribute is not filterable"),
        ("v", Operator::Eq, Raw::Null, "filter error in key `v`: attribute is not filterable"),
    ];
    for (attribute, operator, operand, expected) in filters {
        let request = count(compare(attribute, operator, operand));
        assert_eq!(refusal(&world, &request), expected);
    }
    let include = |names: &[&str]| {
        let these = Include::These(names.iter().map(|text| name(text)).collect());
        Want::rows(Rank::By(Vec::new()), 1, these)
    };
    let wanted = |want| QueryRequest { filter: None, want, consistency: Consistency::Strong };
    assert!(refusal(&world, &wanted(include(&["n", "y"]))).contains("attribute \"y\" not found"));
    let by = |key: &str| Rank::By(vec![(OrderKey::Attribute(name(key)), Direction::Ascending)]);
    let near = |key: &str, to| Rank::nearest(name(key), to);
    for (rank, expected) in [
        (by("y"), "not found in schema"),
        (by("tags"), "has no order"),
        (by("v"), "has no order"),
        (by("body"), "not filterable"),
        (near("y", integers(&[1, 2])), "not found in schema"),
        (near("n", integers(&[1, 2])), "is not a vector"),
        (near("v", integers(&[1, 2, 3])), "expected a vector of 2 dimensions, but got 3"),
    ] {
        let refused = refusal(&world, &rows(None, rank, 1));
        assert!(refused.contains(expected), "{refused}");
    }
    let sum = Want::Aggregates(vec![("s".into(), Aggregate::Sum(name("at")))]);
    assert!(refusal(&world, &wanted(sum)).contains("is not numeric"));
}

#[test]
fn a_filter_is_as_deep_as_it_may_be_and_no_deeper() {
    let world = numbers(3);
    let deep = |levels: usize| {
        let leaf = compare("n", Operator::Eq, Raw::Integer(1)).unwrap();
        let not = |filter, _| Predicate::Not(Box::new(filter));
        count(Some((1..levels).fold(leaf, not)))
    };
    assert!(world.query(&deep(64)).outcome.is_ok());
    let refused = world.query(&deep(65)).outcome;
    assert_eq!(refused, Err(QueryError::Invalid(InvalidQuery::Depth { most: 64 })));
}

#[test]
fn a_namespace_without_ids_is_empty() {
    let mut world = numbers(0);
    world.schema.id_type = None;
    let request = rows(compare("id", Operator::NotEq, Raw::Integer(1)), Rank::By(Vec::new()), 5);
    assert!(ids(&world.query(&request).outcome.unwrap()).is_empty());
}

#[test]
fn an_order_that_ties_is_by_id_wherever_the_rows_lie() {
    let mut world = numbers(40);
    world.flush();
    world.put((0..40).step_by(2).map(|id| number(&world, id, id)).collect());
    let by_r = Rank::By(vec![(OrderKey::Attribute(name("r")), Direction::Ascending)]);
    let found = world.query(&rows(None, by_r, 6)).outcome.unwrap();
    assert_eq!(ids(&found), [0, 10, 20, 30, 1, 11]);
}
