"""Conditions, filters, schema changes and read-only namespaces, as turbopuffer's client sends them."""

import turbopuffer
import pytest


def rows(namespace, **query):
    found = namespace.query(rank_by=["id", "asc"], limit=100, include_attributes=True, **query)
    return {row.id: row.model_dump(exclude={"id"}, exclude_none=True) for row in found.rows}


def test_an_upsert_condition_lets_only_newer_versions_in(namespace):
    namespace.write(upsert_rows=[{"id": 1, "version": 3, "a": "old"}, {"id": 2, "version": 1, "a": "old"}])
    result = namespace.write(
        upsert_rows=[{"id": n, "version": 2, "a": "new"} for n in (1, 2, 3)],
        upsert_condition=["version", "Lt", {"$ref_new": "version"}],
        return_affected_ids=True,
    )
    assert (result.rows_affected, result.rows_upserted, result.upserted_ids) == (2, 2, [2, 3])
    assert {n: row["a"] for n, row in rows(namespace).items()} == {1: "old", 2: "new", 3: "new"}


def test_insert_only(namespace):
    namespace.write(upsert_rows=[{"id": 1, "a": "first"}])
    result = namespace.write(
        upsert_columns={"id": [1, 2], "a": ["second", "second"]}, upsert_condition=["id", "Eq", None]
    )
    assert result.rows_upserted == 1
    assert rows(namespace) == {1: {"a": "first"}, 2: {"a": "second"}}


def test_patches_and_deletes_under_a_condition(namespace):
    namespace.write(upsert_rows=[{"id": n, "n": n, "done": False} for n in range(5)])
    result = namespace.write(
        patch_rows=[{"id": 1, "done": True}, {"id": 4, "done": True}, {"id": 9, "done": True}],
        patch_condition=["n", "Lt", 3],
        deletes=[0, 3, 8],
        delete_condition=["Or", [["n", "Eq", 3], ["done", "Eq", True]]],
        return_affected_ids=True,
    )
    assert (result.rows_patched, result.patched_ids) == (1, [1])
    assert (result.rows_deleted, result.deleted_ids) == (1, [3])
    assert {n: row["done"] for n, row in rows(namespace).items()} == {0: False, 1: True, 2: False, 4: False}


def test_a_counter_by_conditions_loses_no_increment(namespace):
    namespace.write(upsert_rows=[{"id": 1, "n": 0}])
    for before in [0, 0, 1, 1, 2, 0]:
        namespace.write(patch_rows=[{"id": 1, "n": before + 1}], patch_condition=["n", "Eq", before])
    assert rows(namespace)[1]["n"] == 3


def test_filters_delete_and_patch_in_that_order(namespace):
    namespace.write(upsert_rows=[{"id": n, "n": n, "tag": "x"} for n in range(10)])
    result = namespace.write(
        delete_by_filter=["n", "Lt", 4],
        patch_by_filter={"filters": ["n", "Lt", 6], "patch": {"tag": "y", "n": None}},
        upsert_rows=[{"id": 0, "n": 100}],
        patch_rows=[{"id": 1, "n": 1}, {"id": 9, "tag": "z"}],
        return_affected_ids=True,
    )
    assert (result.rows_deleted, result.rows_patched, result.rows_upserted) == (4, 3, 1)
    assert result.deleted_ids == [0, 1, 2, 3]
    assert sorted(result.patched_ids) == [4, 5, 9]
    assert not result.model_extra.get("rows_remaining", False)
    left = rows(namespace)
    assert sorted(left) == [0, 4, 5, 6, 7, 8, 9]
    assert left[4] == {"tag": "y"} and left[0] == {"n": 100} and left[9] == {"n": 9, "tag": "z"}
    assert namespace.write(delete_by_filter=["n", "Eq", 55]).rows_deleted == 0


@pytest.mark.parametrize(
    "write, message",
    [
        ({"upsert_rows": [{"id": 1}], "upsert_condition": ["nope", "Eq", 1]}, "attribute not found"),
        ({"upsert_rows": [{"id": 1}], "upsert_condition": ["n", "Eq", "x"]}, "type mismatch"),
        ({"delete_by_filter": ["nope", "Eq", 1]}, "attribute not found"),
        ({"delete_by_filter": ["n", "Lt", {"$ref_new": "n"}]}, "only for conditions"),
        ({"patch_by_filter": {"filters": ["n", "Eq", 1], "patch": {"n": "x"}}}, "invalid value"),
        ({"patch_by_filter": {"filters": ["n", "Eq", 1], "patch": {"vector": [1.0]}}}, "vectors"),
        ({"deletes": [1], "upsert_rows": [{"id": 1}]}, "duplicate"),
        ({"schema": {"nope": {"drop": True}}}, "cannot be dropped"),
        ({"schema": {"n": {"drop": True, "type": "int"}}}, "drop stands alone"),
    ],
)
def test_what_does_not_fit_is_refused_whole(namespace, write, message):
    vector = {"distance_metric": "cosine_distance", "upsert_rows": [{"id": 1, "n": 1, "vector": [0.5]}]}
    namespace.write(**vector)
    with pytest.raises(turbopuffer.BadRequestError, match=message):
        namespace.write(**write)
    assert rows(namespace, filters=["id", "Eq", 1])[1]["n"] == 1


def test_a_dropped_attribute_is_gone_and_may_come_back_as_something_else(namespace):
    namespace.write(upsert_rows=[{"id": 1, "a": "text", "b": 1}])
    namespace.write(schema={"a": {"drop": True}})
    assert "a" not in namespace.schema()
    assert rows(namespace) == {1: {"b": 1}}
    namespace.write(upsert_rows=[{"id": 2, "a": 5}])
    assert namespace.schema()["a"].type == "int"
    assert rows(namespace) == {1: {"b": 1}, 2: {"a": 5}}


def test_a_read_only_namespace_takes_no_writes_until_it_is_none_any_more(namespace):
    namespace.write(upsert_rows=[{"id": 1, "a": 1}])
    assert namespace.update_metadata(read_only=True).read_only is True
    for write in [{"upsert_rows": [{"id": 2}]}, {"deletes": [1]}, {"schema": {"b": "int"}}]:
        with pytest.raises(turbopuffer.APIStatusError, match="read-only"):
            namespace.write(**write)
    assert rows(namespace) == {1: {"a": 1}}
    assert not namespace.update_metadata(read_only=False).read_only
    assert namespace.write(deletes=[1]).rows_deleted == 1


def test_a_schema_alone_changes_the_schema(namespace):
    namespace.write(upsert_rows=[{"id": 1, "a": "x"}])
    namespace.write(schema={"a": {"type": "string", "filterable": False}, "c": "[]int"})
    assert namespace.schema()["c"].type == "[]int"
    with pytest.raises(turbopuffer.BadRequestError, match="not filterable"):
        namespace.query(rank_by=["id", "asc"], limit=1, filters=["a", "Eq", "x"])


def test_backpressure_may_be_turned_off(namespace):
    result = namespace.write(upsert_rows=[{"id": 1}], disable_backpressure=True)
    assert result.rows_upserted == 1


def test_only_writes_that_look_for_documents_are_billed_a_query(namespace):
    plain = namespace.write(upsert_rows=[{"id": 1, "a": 1}])
    assert plain.billing.query is None and plain.billing.billable_logical_bytes_written > 0
    looking = [
        {"upsert_rows": [{"id": 1, "a": 2}], "upsert_condition": ("a", "Lt", 2)},
        {"deletes": [1], "delete_condition": ("a", "Eq", 7)},
        {"patch_by_filter": {"filters": ("a", "Eq", 2), "patch": {"a": 3}}},
        {"delete_by_filter": ("a", "Eq", 3)},
    ]
    for write in looking:
        query = namespace.write(**write).billing.query
        assert query.billable_logical_bytes_queried == 256_000_000, write
        assert query.billable_logical_bytes_returned == 0, write
