//! What the wire leaves open and `docs/semantics.md` decides, as far as it takes a namespace to show it;
//! and what searches do with pages, rounds and memory.

use std::collections::BTreeSet;

use super::*;
use crate::base::limits::FOUND_BYTES_MAX;
use crate::base::value::{Element, Float, Half, Sparse, VectorType};
use crate::namespace::request::{Compute, Computed, Fuse, Group, GroupKey, Per, Search};

fn text(text: &str) -> Raw {
    Raw::Text(text.into())
}

fn texts(all: &[&str]) -> Raw {
    Raw::List(all.iter().map(|one| text(one)).collect())
}

fn wanted(want: Want) -> QueryRequest {
    QueryRequest { filter: None, want, consistency: Consistency::Strong }
}

/// Four documents: two indexed, two not. Two have tags, one of them none in it.
fn tagged() -> World {
    let attributes = [
        ("color", Type::Scalar(ScalarType::String), true),
        ("tags", Type::Array(ScalarType::String), true),
        ("v", Type::Vector(VectorType { dimensions: 2, element: Element::F16 }), false),
        ("w", Type::Sparse, false),
    ];
    let mut world = World::new(IdType::Uint, Metric::EuclideanSquared, &attributes);
    let [color, tags, v, w] = ["color", "tags", "v", "w"].map(|text| world.attribute(text));
    let string = |text: &str| Scalar::String(text.into());
    let list = |all: &[&str]| Value::Array(all.iter().map(|one| string(one)).collect());
    let vector = |x: f32| Value::Vector(Vector::new(vec![x, 0.0]).unwrap());
    let weight = |x| Value::Sparse(Sparse::new(vec![(7, Half::nearest(x).unwrap())]).unwrap());
    let red = Value::Scalar(string("red"));
    world.put(vec![
        document(Id::Uint(1), vec![(color, red.clone()), (tags, list(&["a", "b", "a"]))]),
        document(Id::Uint(2), vec![(tags, list(&[])), (v, vector(1.0)), (w, weight(2.0))]),
    ]);
    world.flush();
    world.put(vec![
        document(Id::Uint(3), vec![(color, red), (v, vector(1.0)), (w, weight(-2.0))]),
        document(Id::Uint(4), vec![(tags, list(&["b"])), (v, vector(3.0)), (w, weight(0.0))]),
    ]);
    world
}

fn found(world: &World, request: &QueryRequest) -> Answer {
    let answer = world.query(request).outcome.unwrap();
    model::assert_right(world, request, &answer);
    answer
}

#[test]
fn an_array_is_equal_in_order_and_in_a_list_by_any_element() {
    let world = tagged();
    let by_id = Rank::By(Vec::new());
    for (operator, operand, expected) in [
        (Operator::Eq, texts(&["a", "b", "a"]), vec![1]),
        (Operator::Eq, texts(&["b", "a", "a"]), vec![]),
        (Operator::Eq, texts(&[]), vec![2]),
        (Operator::Eq, Raw::Null, vec![3]),
        (Operator::NotEq, texts(&["b"]), vec![1, 2, 3]),
        (Operator::In, texts(&["a", "x"]), vec![1]),
        (Operator::In, text("b"), vec![1, 4]),
        (Operator::NotIn, texts(&["b"]), vec![2, 3]),
        (Operator::ContainsAny, texts(&[]), vec![]),
        (Operator::NotContains, text("a"), vec![2, 3, 4]),
        (Operator::AnyGt, text("a"), vec![1, 4]),
        (Operator::Glob, text("[ax]"), vec![1]),
        (Operator::NotGlob, text("*"), vec![2, 3]),
    ] {
        let request = rows_of(compare("tags", operator, operand), by_id.clone());
        assert_eq!(ids(&found(&world, &request)), expected, "{operator:?}");
    }
}

fn rows_of(filter: Option<Predicate>, rank: Rank) -> QueryRequest {
    let want = Want::rows(rank, 10, Include::Nothing);
    QueryRequest { filter, want, consistency: Consistency::Strong }
}

fn group_key(label: &str, each: bool) -> GroupKey {
    GroupKey { label: label.to_owned(), key: OrderKey::Attribute(name(label)), each }
}

#[test]
fn null_is_a_group_and_an_array_without_elements_is_in_none() {
    let world = tagged();
    let groups = |keys, limit| {
        let aggregates = vec![("n".to_owned(), Aggregate::Count)];
        let answer = found(&world, &wanted(Want::Groups { keys, aggregates, limit }));
        let Found::Groups { groups, .. } = answer.found else { panic!("groups were asked for") };
        let shown = |group: Group| {
            let key = |key: &Option<Scalar>| match key {
                Some(Scalar::String(text)) => text.to_string(),
                _ => "null".to_owned(),
            };
            (group.keys.iter().map(key).collect::<Vec<_>>().join(" "), group.figures)
        };
        let count = |(key, figures): (String, Vec<_>)| (key, figures);
        groups.into_iter().map(shown).map(count).collect::<Vec<_>>()
    };
    let figure = |n| vec![crate::namespace::request::Figure::Count(n)];
    let expected = [("null".to_owned(), figure(2)), ("red".to_owned(), figure(2))];
    assert_eq!(groups(vec![group_key("color", false)], 10), expected);
    assert_eq!(groups(vec![group_key("color", false)], 1), expected[..1]);
    // An element counts once for a document, however often it stands there.
    let both = vec![group_key("tags", true), group_key("color", false)];
    let expected = [("a red", 1), ("b null", 1), ("b red", 1)];
    assert_eq!(groups(both, 10), expected.map(|(key, n)| (key.to_owned(), figure(n))));
}

#[test]
fn what_groups_cannot_be_made_of_is_refused() {
    let world = tagged();
    let aggregates = || vec![("n".to_owned(), Aggregate::Count)];
    for (keys, expected) in [
        (vec![group_key("tags", false)], "has no order"),
        (vec![group_key("color", true)], "is no array"),
        (vec![group_key("v", true)], "is no array"),
        (vec![group_key("x", true)], "not found in schema"),
        (vec![group_key("tags", true); 2], "cannot be used as a label"),
        (vec![group_key("color", false); 9], "cannot be used as a label"),
    ] {
        let want = Want::Groups { keys, aggregates: aggregates(), limit: 1 };
        let refused = refusal(&world, &wanted(want));
        assert!(refused.contains(expected), "{refused}");
    }
    let other = GroupKey { label: "other".into(), ..group_key("tags", true) };
    let keys = vec![group_key("tags", true), other];
    let want = Want::Groups { keys, aggregates: aggregates(), limit: 1 };
    assert!(refusal(&world, &wanted(want)).contains("at most 1 ForEachUnique"));
    let many = Want::Aggregates(vec![("n".to_owned(), Aggregate::Count); 65]);
    assert!(refusal(&world, &wanted(many)).contains("at most 64 aggregates"));
}

#[test]
fn rows_that_lack_a_value_are_alike_and_ties_are_by_id() {
    let world = tagged();
    let listing = |rank, keys: &[&str], of_each| {
        let keys = keys.iter().map(|key| OrderKey::Attribute(name(key))).collect();
        let per = Some(Per { keys, limit: of_each });
        let (include, compute) = (Include::Nothing, Vec::new());
        ids(&found(&world, &wanted(Want::Rows { rank, limit: 10, per, include, compute })))
    };
    assert_eq!(listing(Rank::By(Vec::new()), &["color"], 1), [1, 2]);
    assert_eq!(listing(Rank::By(Vec::new()), &["color"], 2), [1, 2, 3, 4]);
    let to = Raw::List(vec![Raw::Integer(1), Raw::Integer(0)]);
    let near = Rank::nearest(name("v"), to);
    // 2 and 3 are at the same place; 1 has no vector, so it is left out.
    assert_eq!(listing(near.clone(), &["color"], 1), [2, 3]);
    assert_eq!(ids(&found(&world, &rows_of(None, near))), [2, 3, 4]);
}

#[test]
fn a_sample_is_of_those_that_have_a_value_and_another_for_another_seed() {
    let world = tagged();
    let drawn = |attribute: &str, seed| {
        ids(&found(&world, &rows_of(None, Rank::Shuffled { attribute: name(attribute), seed })))
    };
    let orders: BTreeSet<Vec<u64>> = (0..40).map(|seed| drawn("v", seed)).collect();
    assert_eq!(orders.len(), 6, "three documents have a vector, and every order comes up");
    assert!(
        orders.iter().all(
            |order| order.iter().copied().collect::<BTreeSet<_>>() == BTreeSet::from([2, 3, 4])
        )
    );
    assert_eq!(drawn("v", 7), drawn("v", 7));
    let unknown = Rank::Shuffled { attribute: name("x"), seed: 1 };
    assert!(refusal(&world, &rows_of(None, unknown)).contains("not found in schema"));
}

#[test]
fn who_believes_in_another_metric_is_told() {
    let world = tagged();
    let near = |metric| {
        let to = Raw::List(vec![Raw::Integer(1), Raw::Integer(0)]);
        let rank = Rank::Nearest { attribute: name("v"), to, is_exact: false, metric };
        rows_of(None, rank)
    };
    let right = world.schema.attributes[&name("v")].metric;
    assert_eq!(found(&world, &near(right)).found, found(&world, &near(None)).found);
    assert!(refusal(&world, &near(Some(Metric::Dot))).contains("distance metric mismatch"));
}

#[test]
fn what_a_sparse_vector_shares_nothing_with_is_left_out_and_negative_scores_stay() {
    let world = tagged();
    let weights = |dimension| Raw::Weights(vec![(dimension, Float::new(0.5).unwrap())]);
    let likest = |dimension| Rank::Likest { attribute: name("w"), to: weights(dimension) };
    let answer = found(&world, &rows_of(None, likest(7)));
    let Found::Rows(rows) = &answer.found else { panic!("rows were asked for") };
    let scores: Vec<_> = rows.iter().map(|row| row.distance.unwrap().0).collect();
    assert_eq!((ids(&answer), scores), (vec![2, 3], vec![1.0, -1.0]));
    assert!(ids(&found(&world, &rows_of(None, likest(8)))).is_empty());
}

#[test]
fn what_cannot_be_computed_is_left_out_of_a_row() {
    let world = tagged();
    let to = || Raw::List(vec![Raw::Integer(0), Raw::Integer(0)]);
    let red = compare("color", Operator::Eq, text("red")).unwrap();
    let compute = vec![
        ("far".to_owned(), Compute::Distance { attribute: name("v"), to: to() }),
        ("red".to_owned(), Compute::Matches(red)),
    ];
    let (rank, include) = (Rank::By(Vec::new()), Include::Nothing);
    let want = Want::Rows { rank, limit: 10, per: None, include, compute };
    let Found::Rows(rows) = found(&world, &wanted(want)).found else { panic!("rows") };
    let far = |x| ("far".to_owned(), Computed::Number(crate::index::top::Distance(x)));
    let red = |is| ("red".to_owned(), Computed::Bool(is));
    assert_eq!(rows[0].computed, [red(true)]);
    assert_eq!(rows[1].computed, [far(1.0), red(false)]);
    assert_eq!(rows[3].computed, [far(9.0), red(false)]);
    for label in ["id", "$x", "", "color"] {
        let compute =
            vec![(label.to_owned(), Compute::Distance { attribute: name("v"), to: to() })];
        let (rank, include) = (Rank::By(Vec::new()), Include::All);
        let want = Want::Rows { rank, limit: 1, per: None, include, compute };
        assert!(refusal(&world, &wanted(want)).contains("as a label"), "{label}");
    }
}

#[test]
fn patterns_are_for_texts_and_expressions_for_those_who_asked_for_them() {
    let attributes = [
        ("s", Type::Scalar(ScalarType::String), true),
        ("n", Type::Scalar(ScalarType::Int), true),
        ("tags", Type::Array(ScalarType::String), true),
    ];
    let mut world = World::new(IdType::Uint, Metric::Cosine, &attributes);
    let refused = |world: &World, attribute, operator, operand: &str| {
        refusal(world, &count_only(compare(attribute, operator, text(operand))))
    };
    let of_int = refused(&world, "n", Operator::Glob, "*");
    assert_eq!(of_int, "filter error in key `n`: Glob does not apply to attributes of type int");
    assert!(refused(&world, "id", Operator::Regex, "x").contains("does not apply"));
    assert!(refused(&world, "tags", Operator::Regex, "x").contains("Regex needs `regex: true`"));
    let bad = refused(&world, "s", Operator::IGlob, "[");
    assert_eq!(bad, "filter error in key `s`: invalid IGlob pattern: a `[` is not closed");
    assert!(refused(&world, "s", Operator::Regex, "(").contains("invalid Regex pattern"));
    let number = compare("s", Operator::Glob, Raw::Integer(1));
    assert!(refusal(&world, &count_only(number)).contains("Glob expects string, but got int"));
    let many = vec![compare("s", Operator::Glob, text("*")).unwrap(); 65];
    assert!(
        refusal(&world, &count_only(Some(Predicate::Or(many)))).contains("at most 64 patterns")
    );
    // The bound is that of all searches of a query together, and of what they compute.
    let one = || compare("s", Operator::Glob, text("*")).unwrap();
    let compute = (0..33).map(|n| (format!("c{n}"), Compute::Matches(one()))).collect();
    let (rank, include) = (Rank::By(Vec::new()), Include::Nothing);
    let rows = Want::Rows { rank, limit: 1, per: None, include, compute };
    let search = Search { filter: Some(one()), want: rows };
    let of = |count| QueryRequest {
        want: Want::Several { searches: vec![search.clone(); count], fuse: None },
        ..count_only(None)
    };
    assert!(world.query(&of(1)).outcome.is_ok());
    assert!(refusal(&world, &of(2)).contains("at most 64 patterns"));

    let s = world.schema.attributes.get_mut(&name("s")).unwrap();
    (s.filterable, s.glob, s.regex) = (false, true, false);
    assert!(world.query(&count_only(compare("s", Operator::Glob, text("*")))).outcome.is_ok());
    for operator in [Operator::Eq, Operator::Regex] {
        assert!(refused(&world, "s", operator, "x").contains("not filterable"), "{operator:?}");
    }
}

#[test]
fn a_query_tests_a_bounded_number_of_conditions() {
    let world = tagged();
    let one = |n: usize| compare("color", Operator::Eq, text(&n.to_string())).unwrap();
    let of = |count| count_only(Some(Predicate::Or((0..count).map(one).collect())));
    assert!(world.query(&of(1_024)).outcome.is_ok());
    assert!(refusal(&world, &of(1_025)).contains("at most 1024 conditions"));
    // A list of values is one, however long it is.
    let list = Raw::List((0..5_000).map(|n| text(&n.to_string())).collect());
    assert!(world.query(&count_only(compare("color", Operator::In, list))).outcome.is_ok());
}

fn count_only(filter: Option<Predicate>) -> QueryRequest {
    let want = Want::Aggregates(vec![("n".into(), Aggregate::Count)]);
    QueryRequest { filter, want, consistency: Consistency::Strong }
}

#[test]
fn a_glob_reads_only_pages_that_may_begin_like_it() {
    let attributes = [("s", Type::Scalar(ScalarType::String), true)];
    let mut world = World::new(IdType::Uint, Metric::Cosine, &attributes);
    let s = world.attribute("s");
    let value = |id: u64| Value::Scalar(Scalar::String(format!("name {id:05}").into()));
    world.put((0..20_000).map(|id| document(Id::Uint(id), vec![(s, value(id))])).collect());
    world.flush();
    let pages = world.snapshot().directories[0].column(s).unwrap().pages().len();
    assert!(pages > 2, "{pages} pages");
    let glob = |text_of: &str| count_only(compare("s", Operator::Glob, text(text_of)));
    assert_eq!(cost(&world, &glob("name 199*")), (1, 1));
    assert_eq!(cost(&world, &glob("nobody*")), (0, 0));
    assert_eq!(cost(&world, &glob("*9")), (1, pages));
}

/// Pages of vectors and of ids end at different rows; around the row where a page of ids ends, a page
/// of vectors has neighbours on both sides.
#[test]
fn a_page_of_vectors_beside_two_pages_of_ids_ranks_every_row() {
    let int = Type::Scalar(ScalarType::Int);
    let attributes = [("n", int, true), ("v", Type::vector(100), false)];
    let mut world = World::new(IdType::Uint, Metric::EuclideanSquared, &attributes);
    let [n, v] = ["n", "v"].map(|text| world.attribute(text));
    let one = |id: u64| {
        let mut components = vec![0.0; 100];
        components[0] = id as f32;
        let vector = Value::Vector(Vector::new(components).unwrap());
        let number = Value::Scalar(Scalar::Int(id.cast_signed() % 7));
        document(Id::Uint(id), vec![(n, number), (v, vector)])
    };
    world.put((0..9_000).map(one).collect());
    world.flush();
    let directory = world.snapshot().directories[0].clone();
    let ends_inside =
        |page: &crate::format::columns::Page| page.first < 8_192 && page.end() > 8_192;
    assert_eq!(directory.ids().pages()[0].end(), 8_192);
    assert!(directory.column(v).unwrap().pages().iter().any(ends_inside));
    let to = |id| {
        let mut to = vec![Raw::Integer(0); 100];
        to[0] = Raw::Integer(id);
        Rank::nearest(name("v"), Raw::List(to))
    };
    for (id, filter, limit) in [
        (8_191, None, 3),
        (8_192, None, 1),
        (8_193, compare("n", Operator::Eq, Raw::Integer(3)), 40),
        (8_000, compare("n", Operator::NotEq, Raw::Integer(3)), 2_000),
    ] {
        let per = Some(Per { keys: vec![OrderKey::Attribute(name("n"))], limit: limit / 3 + 1 });
        for per in [None, per] {
            let want = Want::Rows {
                rank: to(id),
                limit,
                per,
                include: Include::These(vec![name("n")]),
                compute: Vec::new(),
            };
            let request =
                QueryRequest { filter: filter.clone(), want, consistency: Consistency::Strong };
            found(&world, &request);
        }
    }
}

#[test]
fn several_searches_cost_the_rounds_of_the_longest_and_read_a_page_once() {
    let mut world = numbers(100);
    world.flush();
    let search = |filter, rank| {
        let want = Want::rows(rank, 3, Include::These(vec![name("n")]));
        Search { filter, want }
    };
    let few = || compare("r", Operator::Eq, Raw::Integer(3));
    let searches = vec![
        search(few(), nearest(5)),
        search(None, nearest(50)),
        search(few(), by_n_descending()),
    ];
    let alone = searches.iter().map(|search| {
        let (filter, want) = (search.filter.clone(), search.want.clone());
        cost(&world, &QueryRequest { filter, want, consistency: Consistency::Strong })
    });
    let alone: Vec<_> = alone.collect();
    let together = cost(&world, &wanted(Want::Several { searches, fuse: None }));
    assert_eq!(together.0, alone.iter().map(|cost| cost.0).max().unwrap());
    assert!(together.1 < alone.iter().map(|cost| cost.1).sum(), "{together:?} of {alone:?}");
}

#[test]
fn only_rows_are_fused_and_weights_are_one_for_each() {
    let world = numbers(10);
    let rows = || Search { filter: None, want: Want::rows(nearest(5), 3, Include::Nothing) };
    let count = || Search { filter: None, want: count_only(None).want };
    let fuse = |weights: Option<usize>| {
        let rank_constant = Float::new(60.0).unwrap();
        let weights = weights.map(|count| vec![rank_constant; count]);
        Some(Fuse { rank_constant, weights, offset: 0, limit: 10 })
    };
    let asked = |searches, fuse| wanted(Want::Several { searches, fuse });
    assert!(
        found(&world, &asked(vec![rows(), rows()], fuse(Some(2)))).found != Found::Several(vec![])
    );
    let refused = |searches, fuse| refusal(&world, &asked(searches, fuse));
    assert!(refused(vec![rows(), count()], fuse(None)).contains("only queries for rows"));
    assert!(refused(vec![rows(), rows()], fuse(Some(1))).contains("one positive weight"));
    assert!(refused(vec![rows(); 17], None).contains("at most 16 sub-queries"));
    let nested = Search { filter: None, want: Want::Several { searches: vec![], fuse: None } };
    assert!(refused(vec![nested], None).contains("cannot hold another"));
    // What one says of a row and what another finds out about it stand in one row.
    let attribute = world.schema.attributes.keys().next().unwrap().clone();
    let shows = Want::rows(nearest(5), 3, Include::These(vec![attribute.clone()]));
    let (filter, label) = (Predicate::And(vec![]), attribute.to_string());
    let compute = vec![(label, Compute::Matches(filter))];
    let (rank, include) = (nearest(5), Include::Nothing);
    let computes = Want::Rows { rank, limit: 3, per: None, include, compute };
    let both = || [shows.clone(), computes.clone()].map(|want| Search { filter: None, want });
    assert!(refused(both().to_vec(), fuse(None)).contains("used already"));
    assert!(world.query(&asked(both().to_vec(), None)).outcome.is_ok());
}

#[test]
fn more_ids_than_are_looked_up_are_scanned_for() {
    let mut world = numbers(50);
    world.flush();
    world.put((40..60).map(|id| number(&world, id, id + 1)).collect());
    let listed = |count: i128| Raw::List((30..30 + count).map(Raw::Integer).collect());
    let asked = |count| rows(compare("id", Operator::In, listed(count)), by_n_descending(), 7);
    assert_eq!(ids(&found(&world, &asked(10_000))), [59, 58, 57, 56, 55, 54, 53]);
    assert_eq!(ids(&found(&world, &asked(10_001))), [59, 58, 57, 56, 55, 54, 53]);
}

#[test]
fn an_answer_that_takes_too_much_memory_is_refused() {
    let attributes = [("s", Type::Scalar(ScalarType::String), false)];
    let mut world = World::new(IdType::Uint, Metric::Cosine, &attributes);
    let s = world.attribute("s");
    // All share one text, so the test itself needs little.
    let long: std::sync::Arc<str> = "x".repeat(8 << 20).into();
    let value = || Value::Scalar(Scalar::String(long.clone()));
    world.put((0..33).map(|id| document(Id::Uint(id), vec![(s, value())])).collect());
    let ask = |limit| wanted(Want::rows(Rank::By(Vec::new()), limit, Include::All));
    assert!(world.query(&ask(32)).outcome.is_ok());
    let refused = world.query(&ask(33)).outcome;
    assert_eq!(refused, Err(QueryError::TooLarge { most: FOUND_BYTES_MAX }));
}
