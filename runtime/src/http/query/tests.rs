//! Tests of queries: what is read from a body, and what is printed.

use sana_engine::base::value::{Float, Id, Raw, Scalar, Value as Stored, Vector};
use sana_engine::namespace::request::{
    Answer, AnswerRow, Computed, Distance, Figure, Found, Fuse, Group, Operator, Predicate,
    Statistics,
};
use serde_json::json;

use super::*;

fn parsed(body: &str) -> Query {
    parse(body.as_bytes()).unwrap_or_else(|failure| panic!("{body}: {failure:?}"))
}

fn refused(body: &str, status: u16, part: &str) {
    let failure = parse(body.as_bytes()).expect_err(body);
    assert_eq!(failure.status.as_u16(), status, "{body}: {failure:?}");
    assert!(failure.message.contains(part), "{body}: {failure:?}");
}

fn name(name: &str) -> AttributeName {
    AttributeName::parse(name).unwrap()
}

#[test]
fn a_query_as_the_official_client_sends_it() {
    let query = parsed(
        r#"{"filters":["And",[["name","Eq","foo"],["public","Eq",1]]],"include_attributes":["name"],"rank_by":["vector","ANN",[0.1,0.2]],"top_k":10}"#,
    );
    let number = |x| Raw::Number(Float::new(x).unwrap());
    let to = Raw::List(vec![number(0.1), number(0.2)]);
    let rank = Rank::Nearest { attribute: name("vector"), to, is_exact: false, metric: None };
    let include = Include::These(vec![name("name")]);
    assert_eq!(query.request.want, Want::rows(rank, 10, include));
    assert!(matches!(query.request.filter, Some(Predicate::And(all)) if all.len() == 2));
    assert_eq!(query.request.consistency, Consistency::Strong);
}

#[test]
fn an_order_with_an_offset_asks_for_the_rows_before_it_too() {
    let query = parsed(
        r#"{"exclude_attributes":["vector","$dist"],"filters":["ts","Gte","2024-03-01T00:00:00"],"limit":{"total":5},"offset":10,"rank_by":[["a","asc"],["id","desc"]],"vector_encoding":"base64"}"#,
    );
    assert_eq!((query.offsets, query.vectors), (vec![10], VectorEncoding::Base64));
    let Want::Rows { limit, include, .. } = query.request.want else { panic!("rows") };
    assert_eq!((limit, include), (15, Include::AllBut(vec![name("vector")])));
    assert!(matches!(
        query.request.filter,
        Some(Predicate::Compare { operator: Operator::Gte, .. })
    ));
}

#[test]
fn no_rank_is_the_order_of_ids() {
    let query = parsed(r#"{"filters":["id","In",["a"]],"include_attributes":true,"limit":2}"#);
    let rank = Rank::By(Vec::new());
    assert_eq!(query.request.want, Want::rows(rank, 2, Include::All));
}

#[test]
fn aggregates_have_labels() {
    let query = parsed(
        r#"{"aggregate_by":{"c":["Count"],"d":["Count","id"],"s":["Sum","price"]},"top_k":5}"#,
    );
    let expected = vec![
        ("c".to_owned(), Aggregate::Count),
        ("d".to_owned(), Aggregate::Count),
        ("s".to_owned(), Aggregate::Sum(name("price"))),
    ];
    assert_eq!(query.request.want, Want::Aggregates(expected));
    refused(r#"{"aggregate_by":{}}"#, 400, "cannot be empty");
    refused(r#"{"aggregate_by":{"c":["Count"]},"rank_by":["a","asc"]}"#, 400, "rank_by");
    refused(r#"{"aggregate_by":{"c":["Avg","a"]}}"#, 422, "aggregate_by.c");
    refused(r#"{"aggregate_by":["Count"]}"#, 422, "aggregate_by: invalid type: sequence");
}

#[test]
fn consistency_is_an_object() {
    let eventual =
        parsed(r#"{"consistency":{"level":"eventual","max_staleness_seconds":5},"limit":1}"#);
    let expected = Consistency::Eventual(Duration::from_secs(5));
    assert_eq!(eventual.request.consistency, expected);
    refused(
        r#"{"limit":1,"consistency":"eventual"}"#,
        422,
        r#"consistency: invalid type: string "eventual", expected struct Consistency at line"#,
    );
    refused(
        r#"{"limit":1,"consistency":{"level":"nonexistentvalue"}}"#,
        422,
        "consistency.level: unknown variant `nonexistentvalue`, expected `strong` or `eventual`",
    );
}

#[test]
fn limits_have_a_range() {
    for bad in ["0", "10001", "-1"] {
        let body = format!(r#"{{"top_k":{bad}}}"#);
        refused(&body, 400, "top_k must be between 1 and 10000");
    }
    refused(r#"{"rank_by":["a","asc"]}"#, 400, "rank_by queries must specify top_k or limit");
    refused(r#"{"limit":9999,"offset":2}"#, 400, "together exceed 10000");
    refused(r#"{"limit":5,"top_k":5}"#, 400, "either");
    refused(r#"{"top_k":"a"}"#, 422, "top_k: invalid type");
    refused(r#"{"limit":1.5}"#, 422, "limit");
}

#[test]
fn what_cannot_be_done_is_said_and_never_passed_over() {
    for body in [
        r#"{"limit":3,"rank_by":["text","BM25","x"]}"#,
        r#"{"limit":3,"compute_attributes":{"frag":["Highlight","text"]}}"#,
        r#"{"limit":3,"compute_attributes":{"s":["text","BM25","x"]}}"#,
        r#"{"limit":3,"filters":["text","ContainsAllTokens","x"]}"#,
    ] {
        refused(body, 400, "is not supported by this version of Sana");
    }
    refused(r#"{"limit":3,"rerank_by":{"model":"m"}}"#, 400, "hosted service");
    refused(r#"{"limit":3,"filter":["a","Eq",1]}"#, 422, "unknown field `filter`");
    let both = r#"{"limit":3,"include_attributes":[],"exclude_attributes":[]}"#;
    refused(both, 400, "cannot specify both include_attributes and exclude_attributes");
    refused(r#"{"limit":3,"include_attributes":["$x"]}"#, 400, "\"$x\" not found in schema");
}

#[test]
fn a_cold_query_and_the_metric_that_a_client_believes_in_are_passed_on() {
    for (body, memory) in [
        (r#"{"limit":3}"#, Memory::Used),
        (r#"{"limit":3,"disable_cache":false}"#, Memory::Used),
        (r#"{"limit":3,"disable_cache":true}"#, Memory::Unused),
        (r#"{"queries":[{"limit":3},{"limit":3}],"disable_cache":true}"#, Memory::Unused),
        (r#"{"queries":[{"limit":3},{"limit":3,"disable_cache":true}]}"#, Memory::Unused),
    ] {
        assert_eq!(parsed(body).memory, memory, "{body}");
    }
    let query =
        parsed(r#"{"limit":3,"rank_by":["v","ANN",[1]],"distance_metric":"euclidean_squared"}"#);
    let Want::Rows { rank: Rank::Nearest { metric, .. }, .. } = query.request.want else {
        panic!("rows by distance")
    };
    assert_eq!(metric, Some(Metric::EuclideanSquared));
}

fn row(id: u64, distance: Option<f32>, attributes: Vec<(&str, Stored)>) -> AnswerRow {
    AnswerRow {
        id: Id::Uint(id),
        distance: distance.map(Distance),
        attributes: attributes.into_iter().map(|(n, value)| (name(n), value)).collect(),
        computed: Vec::new(),
    }
}

#[test]
fn rows_are_printed_and_billed_as_clients_expect() {
    let text = |text: &str| Stored::Scalar(Scalar::String(text.into()));
    let vector = || Stored::Vector(Vector::new(vec![0.7, 2.0]).unwrap());
    let mut rows: Vec<_> = (1..=5)
        .map(|id| row(id, Some(0.5), vec![("vector", vector()), ("s", text("hello"))]))
        .collect();
    rows[0].attributes.push((name("t"), text("world")));
    let found = Found::Rows(rows);
    let statistics = Statistics { unindexed_rows: 2, namespace_rows: 7 };
    let query = parsed(r#"{"limit":5,"include_attributes":true}"#);
    let performance = Performance { hits: 1, ..Performance::default() };
    let body = answer(&query, &Answer { found, statistics, learned: None }, performance);
    let printed = String::from_utf8(body.to_vec()).unwrap();
    let first = r#"{"rows":[{"id":1,"$dist":0.5,"vector":[0.7,2.0],"s":"hello","t":"world"},"#;
    assert!(printed.starts_with(first), "{printed}");
    assert!(printed.contains(r#""cache_hit_ratio":1.0"#), "{printed}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["billing"]["billable_logical_bytes_returned"], 5 * (8 + 4 + 8 + 5) + 5);
    assert_eq!(body["billing"]["billable_logical_bytes_queried"], QUERIED_BYTES_MIN);
    assert_eq!(body["performance"]["exhaustive_search_count"], 2);
    assert_eq!(body["performance"]["approx_namespace_size"], 7);
    assert_eq!(body["performance"]["server_total_ms"], 1);
}

#[test]
fn an_offset_leaves_rows_out_and_nothing_found_is_an_empty_list() {
    let rows = Found::Rows(vec![row(1, None, vec![]), row(2, None, vec![])]);
    let statistics = Statistics::default();
    let of = |offset: u32| {
        let query = parsed(&format!(r#"{{"limit":5,"offset":{offset}}}"#));
        let body = answer(
            &query,
            &Answer { found: rows.clone(), statistics: statistics.clone(), learned: None },
            Performance::default(),
        );
        serde_json::from_slice::<Value>(&body).unwrap()["rows"].clone()
    };
    assert_eq!(of(1), json!([{"id": 2}]));
    assert_eq!(of(2), json!([]));
    assert_eq!(of(9), json!([]));
}

#[test]
fn figures_are_printed_as_integers_where_they_are() {
    let figures = vec![
        ("a".to_owned(), Figure::Count(3)),
        ("b".to_owned(), Figure::Integer(i128::from(u64::MAX) * 2)),
        ("c".to_owned(), Figure::Number(Float::new(2.0).unwrap())),
    ];
    let found = Found::Aggregates(figures);
    let query = parsed(r#"{"aggregate_by":{"a":["Count"]}}"#);
    let body = answer(
        &query,
        &Answer { found, statistics: Statistics::default(), learned: None },
        Performance::default(),
    );
    let printed = String::from_utf8(body.to_vec()).unwrap();
    let expected = r#"{"aggregations":{"a":3,"b":36893488147419103230,"c":2.0},"#;
    assert!(printed.starts_with(expected), "{printed}");
}

#[test]
fn a_limit_may_count_rows_that_are_alike() {
    let query = parsed(r#"{"limit":{"total":5,"per":{"attributes":["cat","id"],"limit":2}}}"#);
    let Want::Rows { limit: 5, per: Some(per), .. } = query.request.want else { panic!("rows") };
    let keys = vec![OrderKey::Attribute(name("cat")), OrderKey::Id];
    assert_eq!(per, Per { keys, limit: 2 });
    refused(r#"{"limit":{"total":5,"per":{"attributes":[],"limit":2}}}"#, 400, "per.attributes");
    refused(r#"{"limit":{"total":5,"per":{"attributes":["a"],"limit":0}}}"#, 400, "per.limit");
    refused(r#"{"limit":{"per":{"attributes":["a"],"limit":1}}}"#, 400, "must specify");
    refused(r#"{"limit":{"total":5,"per":{"attributes":["a"]}}}"#, 422, "limit");
    let body = r#"{"aggregate_by":{"c":["Count"]},"limit":{"total":5,"per":{"attributes":["a"],"limit":1}}}"#;
    refused(body, 400, "limit.per does not go with aggregate_by");
}

#[test]
fn groups_are_of_attributes_and_of_elements() {
    let query = parsed(
        r#"{"aggregate_by":{"c":["Count"]},"group_by":["color",{"tag":["ForEachUnique","tags"]}],"limit":{"total":5}}"#,
    );
    let key = |label: &str, attribute, each| GroupKey {
        label: label.to_owned(),
        key: OrderKey::Attribute(name(attribute)),
        each,
    };
    let keys = vec![key("color", "color", false), key("tag", "tags", true)];
    let aggregates = vec![("c".to_owned(), Aggregate::Count)];
    assert_eq!(query.request.want, Want::Groups { keys, aggregates, limit: 5 });
    refused(r#"{"group_by":["a"],"limit":1}"#, 400, "group_by goes with aggregate_by only");
    refused(r#"{"aggregate_by":{"c":["Count"]},"group_by":[]}"#, 400, "group_by cannot be empty");
    for bad in ["[1]", r#"[{"t":["Each","a"]}]"#, r#"[{"t":"a"}]"#] {
        refused(
            &format!(r#"{{"aggregate_by":{{"c":["Count"]}},"group_by":{bad}}}"#),
            422,
            "group_by",
        );
    }
}

#[test]
fn what_is_computed_is_a_distance_a_score_or_whether_a_filter_holds() {
    let query = parsed(
        r#"{"limit":3,"compute_attributes":{"d":["v","VectorDist",[0.5,1]],"s":["w","SparseKNN",{"1":2}],"old":["year","Lt",1990]}}"#,
    );
    let Want::Rows { compute, .. } = query.request.want else { panic!("rows") };
    let kinds: Vec<&str> = compute
        .iter()
        .map(|(label, compute)| match (label.as_str(), compute) {
            ("d", Compute::Distance { .. }) => "d",
            ("s", Compute::Score { .. }) => "s",
            ("old", Compute::Matches(_)) => "old",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds.len(), 3);
    let computing = |by: &str| format!(r#"{{"limit":3,"compute_attributes":{{"x":{by}}}}}"#);
    refused(&computing(r#"["v","ANN",[1]]"#), 400, "use VectorDist");
    refused(&computing("5"), 422, "compute_attributes.x:");
    refused(&computing(r#"["v","VectorDist",{"a":1}]"#), 422, "compute_attributes.x");
}

#[test]
fn several_queries_are_asked_at_once() {
    let query = parsed(
        r#"{"queries":[{"rank_by":["vector","ANN",[0.1]],"limit":10},{"aggregate_by":{"c":["Count"]}},{"limit":5,"offset":2}],"consistency":{"level":"strong"}}"#,
    );
    assert_eq!(query.offsets, [0, 0, 2]);
    let Want::Several { searches, fuse: None } = query.request.want else { panic!("several") };
    assert_eq!(searches.len(), 3);
    let query = parsed(
        r#"{"queries":[{"limit":10},{"top_k":5}],"limit":5,"offset":1,"rerank_by":["RRF",{"rank_constant":50,"weights":[1,2]}]}"#,
    );
    let Want::Several { fuse: Some(fuse), .. } = query.request.want else { panic!("several") };
    let float = |number| Float::new(number).unwrap();
    let weights = Some(vec![float(1.0), float(2.0)]);
    assert_eq!(fuse, Fuse { rank_constant: float(50.0), weights, offset: 1, limit: 5 });
    refused(r#"{"queries":[]}"#, 400, "must send at least one sub-query");
    let many = vec![r#"{"limit":1}"#; 17].join(",");
    refused(&format!(r#"{{"queries":[{many}]}}"#), 400, "requires 17 permits, max is 16");
    refused(r#"{"queries":[{"limit":1}],"rank_by":["a","asc"]}"#, 400, "rank_by does not go");
    refused(r#"{"queries":[{"limit":1}],"limit":3}"#, 400, "goes with rerank_by only");
    refused(r#"{"queries":[{"limit":1,"vector_encoding":"base64"}]}"#, 400, "vector_encoding");
    refused(r#"{"queries":[{"queries":[{"limit":1}]}]}"#, 400, "queries does not go into");
    refused(r#"{"queries":[{"limit":1,"offset":1}],"rerank_by":["RRF"]}"#, 400, "offset");
    refused(r#"{"queries":[{"limit":1}],"rerank_by":["RRF",{"k":1}]}"#, 422, "rerank_by");
    refused(r#"{"queries":[{"limit":1}],"rerank_by":["Best"]}"#, 422, "rerank_by");
    refused(r#"{"queries":[{}]}"#, 400, "must specify top_k or limit");
    refused(r#"{"queries":{}}"#, 422, "queries: invalid type: map, expected a sequence");
    refused(r#"{"limit":1,"rerank_by":["RRF"]}"#, 400, "rerank_by goes with queries only");
}

#[test]
fn groups_and_results_are_printed_flat() {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let group = |key: Option<&str>, n: u64| Group {
        keys: vec![key.map(|text| Scalar::String(text.into()))],
        figures: vec![Figure::Count(n)],
    };
    let groups = vec![group(None, 2), group(Some("red"), 1)];
    let groups = Found::Groups { keys: texts(&["color"]), figures: texts(&["n"]), groups };
    let mut computed = row(1, None, vec![]);
    let number = Computed::Number(Distance(0.7));
    computed.computed = vec![("d".to_owned(), number), ("is".to_owned(), Computed::Bool(true))];
    let rows = Found::Rows(vec![row(9, None, vec![]), computed]);
    let query = parsed(r#"{"queries":[{"limit":5,"offset":1},{"limit":1}]}"#);
    let found = Found::Several(vec![rows, groups]);
    let statistics = Statistics::default();
    let body = answer(&query, &Answer { found, statistics, learned: None }, Performance::default());
    let printed = String::from_utf8(body.to_vec()).unwrap();
    let expected = r#"{"results":[{"rows":[{"id":1,"d":0.7,"is":true}]},{"aggregation_groups":[{"color":null,"n":2},{"color":"red","n":1}]}],"billing""#;
    assert!(printed.starts_with(expected), "{printed}");
}

#[test]
fn a_query_takes_more_slots_the_more_it_goes_over() {
    let near = r#""rank_by":["v","ANN",[1]],"limit":1"#;
    let exact = r#""rank_by":["v","kNN",[1]],"filters":["a","Eq",1],"limit":1"#;
    let figures = r#""aggregate_by":{"n":["Count"]}"#;
    for (body, slots) in [(near, 1), (r#""limit":1"#, 1), (exact, 2), (figures, 4)] {
        assert_eq!(parsed(&format!("{{{body}}}")).slots, slots, "{body}");
    }
    let several = format!(r#"{{"queries":[{{{near}}},{{{exact}}},{{{figures}}},{{{figures}}}]}}"#);
    assert_eq!(parsed(&several).slots, 11);
}
