"""turbopuffer's official client against the release server."""

import datetime
import time
import uuid

import pytest
import turbopuffer

FILMS = [
    {"id": 1, "vector": [0.9, 0.1], "title": "The Third Man", "year": 1949, "tags": ["noir", "vienna"]},
    {"id": 2, "vector": [0.8, 0.3], "title": "Rashomon", "year": 1950, "tags": ["court"]},
    {"id": 3, "vector": [0.1, 0.9], "title": "Stalker", "year": 1979},
    {"id": 4, "vector": [0.5, 0.5], "title": "Ran", "year": 1985, "tags": []},
]


@pytest.fixture
def films(namespace):
    result = namespace.write(upsert_rows=FILMS, distance_metric="cosine_distance")
    assert (result.status, result.rows_affected, result.rows_upserted) == ("OK", 4, 4)
    return namespace


def ids(result):
    return [row.id for row in result.rows]


def where(namespace, filters, **more):
    return ids(namespace.query(rank_by=("id", "asc"), filters=filters, top_k=100, **more))


def fails(status, text, call, **arguments):
    with pytest.raises(turbopuffer.APIStatusError) as raised:
        call(**arguments)
    assert raised.value.status_code == status, raised.value
    assert text in str(raised.value)


# Writing


def test_a_document_is_read_back_as_it_was_written(namespace):
    moment = datetime.datetime(2024, 3, 1, 1, 2, 3, tzinfo=datetime.timezone.utc)
    name = uuid.UUID("769c134d-07b8-4225-954a-b6cc5ffc320c")
    namespace.write(
        schema={"u": "uuid", "t": "datetime", "n": "uint"},
        upsert_rows=[{"id": 7, "b": True, "i": -3, "n": 2**64 - 1, "f": 1.5, "s": "Wien ☕", "u": str(name),
                      "t": moment.isoformat(), "words": ["a", "b"], "absent": None}],
    )
    row = namespace.query(rank_by=("id", "asc"), top_k=1, include_attributes=True).rows[0]
    assert (row.id, row.b, row.i, row.n, row.f, row.s) == (7, True, -3, 2**64 - 1, 1.5, "Wien ☕")
    assert row.u == str(name)
    assert row.t == "2024-03-01T01:02:03.000000000Z"
    assert row.words == ["a", "b"]
    assert "absent" not in row.model_dump()


def test_an_upsert_replaces_the_whole_document(films):
    films.write(upsert_rows=[{"id": 1, "vector": [0.0, 1.0], "year": 2000}])
    row = films.query(rank_by=("id", "asc"), top_k=1, include_attributes=True).rows[0]
    assert row.year == 2000
    assert "title" not in row.model_dump()


def test_columns_say_the_same_as_rows(namespace):
    result = namespace.write(
        distance_metric="euclidean_squared",
        upsert_columns={"id": [1, 2], "vector": [[0.1, 0.2], [0.3, 0.4]], "name": ["a", None]},
    )
    assert result.rows_upserted == 2
    rows = namespace.query(rank_by=("id", "asc"), top_k=9, include_attributes=True).rows
    assert [row.vector for row in rows] == [[0.1, 0.2], [0.3, 0.4]]
    assert rows[0].name == "a"
    assert "name" not in rows[1].model_dump()


def test_a_patch_changes_what_it_names_in_documents_that_exist(films):
    result = films.write(patch_rows=[{"id": 2, "year": 1951}, {"id": 99, "year": 1}])
    assert (result.rows_affected, result.rows_patched) == (1, 1)
    row = films.query(rank_by=("id", "asc"), filters=("id", "Eq", 2), top_k=1, include_attributes=True).rows[0]
    assert (row.year, row.title, row.vector) == (1951, "Rashomon", [0.8, 0.3])
    films.write(patch_columns={"id": [2], "title": [None]})
    assert where(films, ("title", "Eq", None)) == [2]


def test_deleted_documents_are_gone_and_the_namespace_stays(films):
    result = films.write(deletes=[1, 2, 3, 4])
    assert result.rows_deleted == 4
    assert films.query(rank_by=("id", "asc"), top_k=9).rows == []
    assert films.exists()


def test_a_bad_row_leaves_nothing_of_its_request(films):
    rows = [{"id": 5, "year": 1990}, {"id": 6, "year": "nineteen"}]
    with pytest.raises(turbopuffer.BadRequestError):
        films.write(upsert_rows=rows)
    assert where(films, ("id", "Gt", 4)) == []


@pytest.mark.parametrize(("first", "second"), [(1, 2), ("a", "b")])
def test_ids_are_of_one_kind(namespace, first, second):
    namespace.write(upsert_rows=[{"id": first, "x": 1}, {"id": second, "x": 2}])
    assert ids(namespace.query(rank_by=("id", "asc"), top_k=9)) == [first, second]
    other = "z" if isinstance(first, int) else 9
    fails(400, "not allowed to mix ID types", namespace.write, upsert_rows=[{"id": other, "x": 3}])


def test_the_same_id_twice_in_a_request_is_refused(namespace):
    with pytest.raises(turbopuffer.BadRequestError):
        namespace.write(upsert_rows=[{"id": 1, "x": 1}], deletes=[1])


def test_a_key_makes_a_repeat_the_same_write(namespace):
    header = {"Idempotency-Key": "first"}
    first = namespace.write(upsert_rows=[{"id": 1, "n": 1}], extra_headers=header)
    namespace.write(upsert_rows=[{"id": 1, "n": 2}])
    again = namespace.write(upsert_rows=[{"id": 1, "n": 1}], extra_headers=header)
    assert again.rows_upserted == first.rows_upserted == 1
    row = namespace.query(rank_by=("id", "asc"), top_k=1, include_attributes=["n"]).rows[0]
    assert row.n == 2
    with pytest.raises(turbopuffer.UnprocessableEntityError):
        namespace.write(upsert_rows=[{"id": 1, "n": 3}], extra_headers=header)


# Types


def test_types_do_not_change(films):
    fails(400, "cannot change attribute type from int to string", films.write,
          upsert_rows=[{"id": 9, "vector": [0, 1]}], schema={"year": "string"})


def test_a_vector_needs_a_metric_and_keeps_it(namespace):
    row = [{"id": 1, "vector": [1.5, 2.5]}]
    fails(400, "distance_metric must be specified", namespace.write, upsert_rows=row)
    namespace.write(upsert_rows=row, distance_metric="cosine_distance")
    fails(400, "distance metric mismatch", namespace.write, upsert_rows=row,
          distance_metric="euclidean_squared")
    fails(400, "patching vectors", namespace.write, patch_rows=[{"id": 1, "vector": [1.0, 2.0]}])
    with pytest.raises(turbopuffer.BadRequestError):
        namespace.write(upsert_rows=[{"id": 2, "vector": [1.0, 2.0, 3.0]}])


def test_the_schema_tells_every_type(films):
    schema = films.schema()
    assert schema["id"].type == "uint"
    assert schema["year"].type == "int"
    assert schema["title"].type == "string"
    assert schema["tags"].type == "[]string"
    assert schema["vector"].type == "[2]f32"
    updated = films.update_schema(schema={"title": {"type": "string", "filterable": False}})
    assert updated["title"].filterable is False
    with pytest.raises(turbopuffer.APIError):
        films.query(rank_by=("id", "asc"), filters=("title", "Eq", "Ran"), top_k=1)


# Queries


@pytest.mark.parametrize(("filters", "expected"), [
    (("year", "Eq", 1950), [2]),
    (("year", "NotEq", 1950), [1, 3, 4]),
    (("year", "In", [1949, 1985, 7]), [1, 4]),
    (("year", "NotIn", [1949, 1985]), [2, 3]),
    (("year", "Gte", 1950), [2, 3, 4]),
    (("year", "Gt", 1950), [3, 4]),
    (("year", "Lt", 1950), [1]),
    (("year", "Lte", 1950), [1, 2]),
    (("title", "Gte", "S"), [3, 1]),
    (("tags", "Eq", None), [3]),
    (("tags", "NotEq", None), [1, 2, 4]),
    (("id", "In", [4, 2]), [2, 4]),
    (("And", [("year", "Gt", 1949), ("year", "Lt", 1985)]), [2, 3]),
    (("Or", [("year", "Eq", 1949), ("title", "Eq", "Ran")]), [1, 4]),
    (("Not", ("Or", [("year", "Eq", 1949), ("title", "Eq", "Ran")])), [2, 3]),
    (("And", []), [1, 2, 3, 4]),
    (("Or", []), []),
])
def test_a_filter_keeps_what_it_says(films, filters, expected):
    assert where(films, filters) == sorted(expected)


def test_null_is_less_than_everything(namespace):
    namespace.write(upsert_rows=[{"id": 1, "n": 5}, {"id": 2, "m": 1}, {"id": 3, "n": 9}])
    assert where(namespace, ("n", "Lt", 6)) == [1, 2]
    assert where(namespace, ("n", "Gt", 1)) == [1, 3]
    assert ids(namespace.query(rank_by=("n", "asc"), top_k=9)) == [2, 1, 3]
    assert ids(namespace.query(rank_by=("n", "desc"), top_k=9)) == [3, 1, 2]


def test_orders_and_limits(films):
    result = films.query(rank_by=("year", "desc"), top_k=2, include_attributes=["year"])
    assert [(row.id, row.year) for row in result.rows] == [(4, 1985), (3, 1979)]
    assert "$dist" not in result.rows[0].model_dump()
    assert result.performance.cache_hit_ratio is not None


@pytest.mark.parametrize(("metric", "expected"), [
    ("cosine_distance", [(7, 0.0), (2, 0.0), (3, 1.0)]),
    ("euclidean_squared", [(7, 0.0), (2, 3.38), (3, 5.38)]),
])
def test_vectors_are_ranked_by_distance(namespace, metric, expected):
    rows = [{"id": 2, "vector": [2, 2]}, {"id": 7, "vector": [0.7, 0.7]}, {"id": 3, "vector": [-1.0, 1.0]}]
    namespace.write(upsert_rows=rows, distance_metric=metric)
    result = namespace.query(rank_by=("vector", "ANN", [0.7, 0.7]), top_k=3, include_attributes=["vector"])
    found = {row.id: row["$dist"] for row in result.rows}
    if metric == "euclidean_squared":
        expected = [(7, 0.0), (3, 2.98), (2, 3.38)]
        assert [row.id for row in result.rows] == [7, 3, 2]
    for each, distance in expected:
        assert found[each] == pytest.approx(distance, abs=1e-5)
    assert {row.id: row.vector for row in result.rows} == {2: [2.0, 2.0], 7: [0.7, 0.7], 3: [-1.0, 1.0]}


def test_a_filtered_vector_query_ranks_only_what_matches(films):
    result = films.query(rank_by=("vector", "ANN", [1.0, 0.0]), filters=("year", "Gte", 1950), top_k=2,
                         include_attributes=["title"])
    assert [(row.id, row.title) for row in result.rows] == [(2, "Rashomon"), (4, "Ran")]


def test_vectors_can_be_asked_for_as_base64(films):
    result = films.query(rank_by=("id", "asc"), top_k=1, include_attributes=["vector"],
                         vector_encoding="base64")
    assert isinstance(result.rows[0].vector, str)


def test_attributes_are_included_and_excluded(films):
    row = films.query(rank_by=("id", "asc"), top_k=1).rows[0].model_dump()
    assert set(row) - {"vector"} == {"id"}
    row = films.query(rank_by=("id", "asc"), top_k=1, exclude_attributes=["vector"]).rows[0].model_dump()
    assert {"title", "year", "tags"} <= set(row)
    fails(400, "not found in schema", films.query, rank_by=("id", "asc"), top_k=1,
          include_attributes=["director"])


def test_documents_are_counted(films):
    result = films.query(aggregate_by={"n": ("Count",)}, filters=("year", "Lt", 1979))
    assert result.aggregations == {"n": 2}


@pytest.mark.parametrize(("status", "text", "query"), [
    (400, "attribute not found", {"rank_by": ("id", "asc"), "top_k": 1, "filters": ("nope", "Eq", 1)}),
    (400, "top_k must be between 1 and 10000", {"rank_by": ("id", "asc"), "top_k": 0}),
    (400, "top_k must be between 1 and 10000", {"rank_by": ("id", "asc"), "top_k": 10_001}),
    (400, "must specify top_k or limit", {"rank_by": ("id", "asc")}),
    (422, "unknown variant `nonexistentvalue`, expected `strong` or `eventual`",
     {"rank_by": ("id", "asc"), "top_k": 1, "consistency": {"level": "nonexistentvalue"}}),
    (422, 'consistency: invalid type: string "eventual", expected struct Consistency',
     {"rank_by": ("id", "asc"), "top_k": 1, "consistency": "eventual"}),
])
def test_what_makes_no_sense_is_refused_in_words(films, status, text, query):
    fails(status, text, films.query, **query)


def test_rows_as_a_map_are_refused(namespace):
    fails(422, "invalid type: map, expected a sequence", namespace.write, upsert_rows={"id": 1})


@pytest.mark.parametrize("consistency", [{"level": "strong"}, {"level": "eventual"}])
def test_both_consistencies_answer(films, consistency):
    assert len(films.query(rank_by=("id", "asc"), top_k=9, consistency=consistency).rows) == 4


def test_deleting_what_is_not_there_is_counted(films):
    assert films.write(deletes=[77, 78]).rows_deleted == 2


def test_vectors_of_every_kind_are_kept_and_ranked(namespace):
    namespace.write(
        schema={"h": {"type": "[2]f16", "ann": True},
                "q": {"type": "[2]i8", "ann": {"distance_metric": "euclidean_squared"}},
                "w": {"type": "{}f16", "sparse_knn": {"distance_metric": "dot_product"}},
                "raw": "bytes"},
        distance_metric="cosine_distance",
        upsert_rows=[{"id": 1, "h": [0.5, 0.25], "q": [127, -128], "w": {"7": 0.5, "70000": 2.0}, "raw": "AP8="},
                     {"id": 2, "h": [-1.0, 0.0], "q": [1, 2], "w": {"7": 1.5}}],
    )
    rows = namespace.query(rank_by=("id", "asc"), top_k=9, include_attributes=True).rows
    assert (rows[0].h, rows[0].q, rows[0].w, rows[0].raw) == (
        [0.5, 0.25], [127.0, -128.0], {"7": 0.5, "70000": 2.0}, "AP8=")
    near = namespace.query(rank_by=("q", "ANN", [1.0, 1.0]), top_k=9).rows
    assert [(row.id, row["$dist"]) for row in near] == [(2, 1.0), (1, 126.0**2 + 129.0**2)]
    assert ids(namespace.query(rank_by=("h", "ANN", [-1.0, 0.1]), top_k=9)) == [2, 1]
    like = namespace.query(rank_by=("w", "SparseKNN", {"7": 2.0, "1": 9.0}), top_k=9).rows
    assert [(row.id, row["$dist"]) for row in like] == [(2, 3.0), (1, 1.0)]
    schema = namespace.metadata().schema_
    assert schema["h"].ann.distance_metric == "cosine_distance"
    assert schema["q"].ann.distance_metric == "euclidean_squared"
    assert schema["w"].type == "{}f16"


def test_patterns_match_texts(films):
    assert where(films, ("title", "Glob", "R*")) == [2, 4]
    assert where(films, ("title", "NotGlob", "R*")) == [1, 3]
    assert where(films, ("title", "IGlob", "the {third,second} m?n")) == [1]
    assert where(films, ("tags", "Glob", "[n-v]*")) == [1]
    films.update_schema(schema={"title": {"type": "string", "regex": True}})
    assert where(films, ("title", "Regex", "^R.*n$")) == [2, 4]
    assert where(films, ("title", "Regex", "(?i)STALK|third")) == [1, 3]


def test_groups_have_figures(films):
    films.write(patch_rows=[{"id": 2, "tags": ["court", "noir"]}], schema={"noir": "bool"})
    films.write(patch_rows=[{"id": 1, "noir": True}, {"id": 2, "noir": True}, {"id": 4, "noir": False}])
    groups = films.query(aggregate_by={"n": ("Count",), "years": ("Sum", "year")}, group_by=["noir"]).aggregation_groups
    assert [dict(group) for group in groups] == [
        {"noir": None, "n": 1, "years": 1979}, {"noir": False, "n": 1, "years": 1985},
        {"noir": True, "n": 2, "years": 3899}]
    tags = films.query(aggregate_by={"n": ("Count",)}, group_by=[{"tag": ("ForEachUnique", "tags")}],
                       limit={"total": 2}).aggregation_groups
    assert [dict(group) for group in tags] == [{"tag": "court", "n": 1}, {"tag": "noir", "n": 2}]


def test_rows_that_are_alike_are_limited(films):
    films.write(patch_rows=[{"id": 1, "land": "uk"}, {"id": 2, "land": "jp"}, {"id": 4, "land": "jp"}])
    per = {"attributes": ["land"], "limit": 1}
    assert ids(films.query(rank_by=("year", "desc"), limit={"total": 9, "per": per})) == [4, 3, 1]
    near = films.query(rank_by=("vector", "ANN", [1.0, 0.0]), limit={"total": 2, "per": per})
    assert ids(near) == [1, 2]
    assert ids(films.query(rank_by=("year", "desc"), limit={"total": 2, "per": per}, offset=1)) == [3, 1]


def test_attributes_are_computed(films):
    rows = films.query(
        rank_by=("id", "asc"), top_k=2, include_attributes=["year"],
        compute_attributes={"far": ("vector", "VectorDist", [0.9, 0.1]), "old": ("year", "Lt", 1950)}).rows
    assert [row.old for row in rows] == [True, False]
    assert abs(rows[0].far) < 1e-6 < rows[1].far


def test_several_queries_see_one_moment(films):
    near = {"rank_by": ("vector", "ANN", [1.0, 0.0]), "limit": 3, "include_attributes": ["title"]}
    late = {"rank_by": ("year", "desc"), "limit": 2}
    count = {"aggregate_by": {"n": ("Count",)}}
    results = films.multi_query(queries=[near, late, count]).results
    assert [row.id for row in results[0].rows] == [1, 2, 4]
    assert [row.id for row in results[1].rows] == [4, 3]
    assert results[2].aggregations["n"] == 4
    fused = films.multi_query(queries=[near, late], rerank_by=("RRF",), limit=2).results
    assert len(fused) == 1
    assert [row.id for row in fused[0].rows] == [4, 1]
    assert abs(fused[0].rows[0]["$dist"] - (1 / 63 + 1 / 61)) < 1e-6
    assert fused[0].rows[0].title == "Ran"
    weighted = films.multi_query(queries=[near, late], rerank_by=("RRF", {"weights": [90, 1]}), limit=1).results
    assert [row.id for row in weighted[0].rows] == [1]


# Namespaces


def test_a_namespace_that_is_not_there_is_not_found(client):
    absent = client.namespace("never-written")
    assert not absent.exists()
    for call in (absent.metadata, absent.schema, absent.delete_all):
        with pytest.raises(turbopuffer.NotFoundError):
            call()
    fails(404, "was not found", absent.query, rank_by=("id", "asc"), top_k=1)


def test_deleting_a_namespace_begins_a_new_life(films):
    films.delete_all()
    assert not films.exists()
    films.write(upsert_rows=[{"id": "text", "year": "other type"}])
    assert where(films, ("year", "Eq", "other type")) == ["text"]


def test_namespaces_are_listed_by_prefix_in_pages(client):
    names = [f"listed-{number}" for number in range(5)]
    for name in names:
        client.namespace(name).write(upsert_rows=[{"id": 1, "x": 1}])
    client.namespace("listed-3").delete_all()
    listed = [each.id for each in client.namespaces(prefix="listed-", page_size=2)]
    assert listed == ["listed-0", "listed-1", "listed-2", "listed-4"]


def test_metadata_tells_what_is_there(films):
    metadata = films.metadata()
    assert metadata.to_dict()["schema"]["year"]["type"] == "int"
    assert metadata.index.status in ("up-to-date", "updating")
    assert metadata.created_at <= metadata.updated_at


@pytest.mark.parametrize("name", ["A-z_0.9", "x" * 128])
def test_every_legal_name_is_a_namespace(client, name):
    namespace = client.namespace(name)
    namespace.write(upsert_rows=[{"id": 1, "x": 1}])
    assert namespace.exists()
    namespace.delete_all()


def indexed(namespace, seconds=30):
    """The namespace, once every document of it is indexed."""
    end = time.monotonic() + seconds
    while namespace.query(rank_by=("id", "asc"), top_k=1).performance.exhaustive_search_count > 0:
        assert time.monotonic() < end, "not indexed in time"
        time.sleep(0.05)
    return namespace


def test_a_purged_namespace_is_read_from_the_store_again(client, films):
    def temperature(**more):
        performance = indexed(films).query(
            rank_by=("vector", "ANN", [1.0, 0.0]), top_k=2, include_attributes=True, **more).performance
        return performance.cache_hit_ratio, performance.cache_temperature

    temperature()
    assert temperature() == (1.0, "hot")
    assert temperature(extra_body={"disable_cache": True}) == (0.0, "cold")
    assert temperature() == (1.0, "hot")
    answer = client.get(f"/v1/namespaces/{films.id}/_debug/purge_cache", cast_to=object)
    assert answer["status"] == "OK"
    cold = films.query(rank_by=("vector", "ANN", [1.0, 0.0]), top_k=2).performance
    assert (cold.cache_hit_ratio, cold.cache_temperature) == (0.0, "cold")
    with pytest.raises(turbopuffer.NotFoundError):
        client.get(f"/v1/namespaces/{films.id}-none/_debug/purge_cache", cast_to=object)


def test_recall_is_measured_of_vectors_that_are_there(films):
    measured = films.recall(num=3, top_k=2, include_ground_truth=True)
    assert (measured.avg_recall, measured.avg_exhaustive_count, measured.avg_ann_count) == (1.0, 2.0, 2.0)
    vectors = {tuple(film["vector"]): film["id"] for film in FILMS}
    assert len(measured.ground_truth) == 3
    for truth in measured.ground_truth:
        nearest, second = truth.nearest_neighbors
        assert nearest.id == vectors.pop(tuple(truth.query_vector)), "each is drawn once, and nearest to itself"
        assert abs(nearest["$dist"]) < 1e-6 <= second["$dist"]
    few = films.recall(filters=("year", "Lt", 1960))
    assert few.avg_exhaustive_count == few.avg_ann_count == 2.0
    given = films.recall(rank_by=("vector", "ANN", [0.0, 1.0]), top_k=1, include_ground_truth=True)
    assert [row.id for row in given.ground_truth[0].nearest_neighbors] == [3]
    assert given.ground_truth[0].query_vector == [0.0, 1.0]


def test_a_query_that_names_another_metric_is_refused(films):
    def query(metric):
        films.query(rank_by=("vector", "ANN", [1.0, 0.0]), top_k=1, extra_body={"distance_metric": metric})

    query("cosine_distance")
    fails(400, "distance metric mismatch, expected cosine_distance, got euclidean_squared", query,
          metric="euclidean_squared")


def test_what_needs_a_later_release_is_refused_by_name(films):
    with pytest.raises(turbopuffer.APIStatusError) as raised:
        films.query(rank_by=("title", "BM25", "man"), top_k=1)
    assert raised.value.status_code in (400, 422)


def test_a_query_is_explained_step_by_step(films):
    plan = films.explain_query(rank_by=("vector", "ANN", [0.1, 0.2]), top_k=3).plan_text
    assert plan.startswith("take the newest view: ") and "take the first 3" in plan
    with pytest.raises(turbopuffer.BadRequestError):
        films.explain_query(rank_by=("vector", "ANN", [0.1, 0.2]))
