"""What is on the wire, byte by byte: malformed requests get a clear answer, and nothing of them stays."""

import gzip
import http.client
import json
import socket

import pytest


@pytest.fixture
def wire(server):
    return server.connect()


@pytest.fixture
def name(namespace):
    return namespace.id


def raw(server, method, path, body=b"", headers=None):
    """Sends bytes as they are and returns status, headers and bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, {key.lower(): value for key, value in response.getheaders()}, answer


BAD_BODIES = [
    (b"", 400, "Failed to parse the request body as JSON"),
    (b"{", 400, "Failed to parse the request body as JSON"),
    (b'{"upsert_rows":[{"id":1}]} x', 400, "Failed to parse the request body as JSON"),
    (b'{"upsert_rows":[{"id":1,"a":"\xff"}]}', 400, "Failed to parse the request body as JSON"),
    (b'{"upsert_rows":[{"id":1,"a":1e999}]}', 400, "out of range"),
    (b'{"upsert_rows":[{"id":1,"a":' + b"[" * 100_000, 400, "recursion limit"),
    (b"[]", 422, "expected a map"),
    (b'"a"', 422, "invalid type"),
    (b'{"upsert_rows":{"id":[1]}}', 422, "upsert_rows: invalid type: map, expected a sequence"),
    (b'{"upsert_rows":[{"a":1}]}', 422, "missing field `id`"),
    (b'{"upsert_rows":[{"id":1,"a":{"b":1}}]}', 422, "upsert_rows[0].a: invalid type: map"),
    (b'{"upsert_rows":[{"id":1,"a":1,"a":2}]}', 422, "duplicate field `a`"),
    (b'{"upsert_row":[{"id":1}]}', 422, "unknown field `upsert_row`"),
    (b'{"schema":{"a":"int","a":"int"}}', 422, "schema: duplicate field `a`"),
    (b'{"schema":{"a":{"type":"int","type":"int"}}}', 422, "duplicate field `type`"),
    (b'{"delete_by_filter":["a","Eq",{"$ref_new":"a","$ref_new":"a"}]}', 422, "duplicate field `$ref_new`"),
    (b'{"sharding":{"num_shards":1,"shards":1}}', 422, "unknown field `shards`"),
    (b'{"upsert_rows":[{"id":1,"$a":1}]}', 400, "must not start with `$`"),
    (b'{"upsert_rows":[{"id":1},{"id":1}]}', 400, "duplicate"),
    (b'{"upsert_rows":[{"id":1},{"id":"a"}]}', 400, "not allowed to mix ID types"),
    (b'{"upsert_rows":[{"id":-1}]}', 400, ""),
    (b'{"upsert_rows":[{"id":1.5}]}', 400, ""),
    (b'{"upsert_rows":[{"id":null}]}', 400, ""),
    (b'{"upsert_rows":[{"id":""}]}', 400, "1 to 64 bytes"),
    (b'{"upsert_rows":[{"id":"' + b"a" * 65 + b'"}]}', 400, "1 to 64 bytes"),
    (b'{"upsert_rows":[{"id":1,"vector":[1,2]}]}', 400, "distance_metric must be specified"),
    (b'{"upsert_rows":[{"id":1,"vector":["a"]}],"distance_metric":"cosine_distance"}', 400, "vector"),
    (b'{"upsert_rows":[{"id":1,"vector":[]}],"distance_metric":"cosine_distance"}', 400, ""),
    (b'{"upsert_rows":[{"id":1,"vector":"AAA"}],"distance_metric":"cosine_distance"}', 400, ""),
    (b'{"upsert_rows":[{"id":1,"a":[1,"b"]}]}', 400, ""),
    (b'{"upsert_columns":{"id":[1,2],"a":[1]}}', 400, "column 'a' has 1 values"),
    (b'{"upsert_rows":[{"id":1,"w":{"1":2,"1":3}}],"schema":{"w":{"type":"{}f16","sparse_knn":{}}}}', 400, "each once"),
    (b'{"upsert_rows":[{"id":1,"w":{"1":1e9}}],"schema":{"w":{"type":"{}f16","sparse_knn":{}}}}', 400, "out of the range"),
    (b'{"upsert_rows":[{"id":1,"w":{"1":2}}],"schema":{"w":"{}f16"}}', 400, "must have sparse_knn"),
    (b'{"upsert_rows":[{"id":1,"v":[0.5,1]}],"schema":{"v":{"type":"[2]i8","ann":true}},"distance_metric":"cosine_distance"}',
     400, "out of the range of type [2]i8"),
    (b'{"upsert_rows":[{"id":1,"v":[70000,1]}],"schema":{"v":{"type":"[2]f16","ann":true}},"distance_metric":"cosine_distance"}',
     400, "out of the range of type [2]f16"),
    (b'{"upsert_rows":[{"id":1,"x":"*"}],"schema":{"x":"bytes"}}', 400, "base64 of bytes"),
    (b'{"upsert_rows":[{"id":1}],"schema":{"x":{"type":"bytes","filterable":true}}}', 400, "cannot be filterable"),
    (b'{"upsert_rows":[{"id":1}],"schema":{"n":{"type":"int","glob":true}}}', 400, "cannot be matched with globs"),
    (b'{"upsert_rows":[{"id":1}],"schema":{"v":{"type":"[10753]f32","ann":true}},"distance_metric":"cosine_distance"}',
     400, "1 to 10752 dimensions"),
    (b'{"upsert_rows":[{"id":1}],"upsert_columns":{"id":[2]}}', 400, "either"),
    (b'{"upsert_rows":[{"id":1}],"upsert_condition":{"id":1}}', 422, "expected an array"),
    (b'{"delete_by_filter":["a","Eq"]}', 422, "expected [attribute, operator, value]"),
    (b'{"patch_by_filter":["a","Eq",1]}', 422, "patch_by_filter"),
    (b'{"return_affected_ids":3}', 422, "return_affected_ids"),
    (b'{"copy_from_namespace":"src"}', 400, "copy_from_namespace is not supported"),
    (b'{"upsert_rows":[{"id":1}],"schema":{"a":{"type":"string","full_text_search":true}}}', 400,
     "full_text_search"),
    (b'{"upsert_rows":[{"id":1}],"distance_metric":"manhattan"}', 422, "unknown variant `manhattan`"),
]


@pytest.mark.parametrize("body,status,text", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_malformed_write_is_refused_clearly_and_leaves_nothing(server, wire, name, body, status, text):
    got, headers, answer = raw(server, "POST", f"/v2/namespaces/{name}", body)
    assert got == status, answer
    assert headers["content-type"] == "application/json"
    said = json.loads(answer)
    assert said["status"] == "error" and text in said["error"], said
    assert wire.ask("GET", f"/v1/namespaces/{name}/schema")[0] == 404


BAD_QUERIES = [
    ({}, 400, "must specify top_k or limit"),
    ({"top_k": 0}, 400, "top_k must be between 1 and 10000"),
    ({"top_k": 10_001}, 400, "top_k must be between 1 and 10000"),
    ({"limit": 1, "rank_by": []}, 400, "rank_by cannot be empty"),
    ({"limit": 1, "rank_by": ["a", "sideways"]}, 422, "rank_by"),
    ({"limit": 1, "rank_by": ["missing", "asc"]}, 400, "missing"),
    ({"limit": 1, "rank_by": ["vector", "ANN", [1]]}, 400, "vector"),
    ({"limit": 1, "rank_by": ["vector", "ANN", ["a", "b"]]}, 400, "vector"),
    ({"limit": 1, "rank_by": ["a", "ANN", [1, 2]]}, 400, "a"),
    ({"limit": 1, "rank_by": ["vector", "kNN", [1, 2]]}, 400, "filters"),
    ({"limit": 1, "rank_by": ["a", "BM25", "x"]}, 400, "BM25 is not supported"),
    ({"limit": 1, "filters": ["missing", "Eq", 1]}, 400, "filter error in key `missing`: attribute not found"),
    ({"limit": 1, "filters": ["a", "Eq", "x"]}, 400, "type mismatch"),
    ({"limit": 1, "filters": ["a", "Like", "x"]}, 422, "unknown operator `Like`"),
    ({"limit": 1, "filters": ["a", "Glob", "x*"]}, 400, "Glob does not apply to attributes of type int"),
    ({"limit": 1, "filters": ["s", "Glob", "[x"]}, 400, "invalid Glob pattern"),
    ({"limit": 1, "filters": ["s", "Regex", "x"]}, 400, "Regex needs `regex: true`"),
    ({"limit": 1, "filters": ["s", "Glob", 1]}, 400, "Glob expects string, but got int"),
    ({"limit": 1, "filters": ["s", "Glob", "x" * 5000]}, 400, "longer than 4096 bytes"),
    ({"limit": 1, "filters": ["s", "Fuzzy", "x"]}, 400, "Fuzzy is not supported"),
    ({"limit": 1, "rank_by": ["vector", "SparseKNN", {"1": 1}]}, 400, "is not a sparse vector"),
    ({"limit": 1, "rank_by": ["vector", "SparseKNN", {"one": 1}]}, 422, "invalid type: map"),
    ({"limit": 1, "rank_by": [["a", "asc"]] * 9}, 400, "at most 8"),
    ({"limit": {"total": 1, "per": {"attributes": ["vector"], "limit": 1}}}, 400, "has no order"),
    ({"limit": {"total": 1, "per": {"attributes": ["a"], "limit": 0}}}, 400, "limit.per.limit"),
    ({"limit": 1, "compute_attributes": {"d": ["a", "VectorDist", [1, 2]]}}, 400, "is not a vector"),
    ({"limit": 1, "compute_attributes": {"id": ["a", "Eq", 1]}}, 400, "as a label"),
    ({"limit": 1, "compute_attributes": {f"c{n}": ["a", "Eq", 1] for n in range(257)}}, 400, "at most 256"),
    ({"limit": 1, "compute_attributes": {"h": ["Highlight", "s"]}}, 400, "Highlight"),
    ({"limit": 1, "filters": "a"}, 422, "filters"),
    ({"limit": 1, "include_attributes": ["missing"]}, 400, "not found in schema"),
    ({"limit": 1, "include_attributes": ["a"], "exclude_attributes": ["a"]}, 400, "cannot specify both"),
    ({"limit": 1, "consistency": "eventual"}, 422, "expected struct Consistency"),
    ({"limit": 1, "vector_encoding": "hex"}, 422, "unknown variant `hex`"),
    ({"limit": 1, "filter": ["a", "Eq", 1]}, 422, "unknown field `filter`"),
    ({"aggregate_by": {"n": ["Sum", "missing"]}}, 400, "missing"),
    ({"aggregate_by": {"n": ["Count"]}, "group_by": ["vector"]}, 400, "has no order"),
    ({"aggregate_by": {"a": ["Count"]}, "group_by": ["a"]}, 400, "as a label"),
    ({"aggregate_by": {"n": ["Count"]}, "group_by": [{"t": ["ForEachUnique", "a"]}]}, 400, "is no array"),
    ({"aggregate_by": {"n": ["Count"]}, "group_by": [{"t": ["Each", "a"]}]}, 422, "group_by"),
    ({"aggregate_by": {"n": ["Count"]}, "group_by": ["a"], "limit": 10_001}, 400, "between 1 and 10000"),
    ({"limit": 1, "group_by": ["a"]}, 400, "group_by goes with aggregate_by"),
    ({"queries": []}, 400, "must send at least one sub-query"),
    ({"queries": [{"limit": 1}] * 17}, 400, "requires 17 permits, max is 16"),
    ({"queries": [{"limit": 1, "filters": ["missing", "Eq", 1]}]}, 400, "attribute not found"),
    ({"queries": [{"limit": 1}], "rerank_by": ["RRF", {"weights": [1, 2]}]}, 400, "one positive weight"),
    ({"queries": [{"aggregate_by": {"n": ["Count"]}}], "rerank_by": ["RRF"]}, 400, "only queries for rows"),
    ({"queries": [{"limit": 1}], "rerank_by": {"model": "m"}}, 400, "hosted service"),
    ({"limit": 1, "rerank_by": {"model": "m"}}, 400, "hosted service"),
]


@pytest.fixture
def filled(wire, name):
    rows = [{"id": 1, "vector": [1, 2], "a": 1, "s": "x"}, {"id": 2, "vector": [2, 1], "a": 2}]
    status, answer = wire.write(name, {"upsert_rows": rows, "distance_metric": "cosine_distance"})
    assert status == 200, answer
    return name


def test_a_malformed_query_is_refused_clearly(wire, filled):
    for body, status, text in BAD_QUERIES:
        got, answer = wire.query(filled, body)
        assert got == status, (body, answer)
        assert answer["status"] == "error" and text in answer["error"], (body, answer)


def test_a_refused_write_changes_nothing_that_is_there(wire, filled):
    before = wire.documents(filled)
    for bad in [{"id": 1, "a": "x"}, {"id": 1, "vector": [1, 2, 3]}, {"id": "x"}, {"id": 1, "a": 1.5}]:
        status, answer = wire.write(filled, {"upsert_rows": [{"id": 3, "a": 3}, bad]})
        assert status == 400, (bad, answer)
    assert wire.documents(filled) == before


def test_paths_and_methods_that_are_none_are_said(server, wire):
    assert wire.ask("GET", "/")[0] == 404
    assert wire.ask("GET", "/v2/namespaces/a/b")[0] == 404
    assert wire.ask("POST", "/v1/namespaces")[0] == 405
    for bad in ["a%20b", "%C3%A4", "a%2Fb", "a" * 129]:
        status, headers, answer = raw(server, "POST", f"/v2/namespaces/{bad}", b"{}")
        assert status == 400 and headers["content-type"].startswith("text/plain"), answer
        assert answer.startswith(b"Invalid URL: ")


def test_a_leading_segment_and_the_overload_parameter_are_passed_over(wire, filled):
    for prefix in ["", "/gcp-us-central1"]:
        path = f"{prefix}/v2/namespaces/{filled}/query?stainless_overload=multiQuery"
        status, answer = wire.ask("POST", path, {"limit": 1})
        assert status == 200 and [row["id"] for row in answer["rows"]] == [1]


def test_names_that_are_folders_elsewhere_are_names_here(wire):
    for dots in [".", "..", "..."]:
        status, answer = wire.write(dots, {"upsert_rows": [{"id": 1}]})
        assert status == 200, answer
        assert wire.documents(dots) == {1: {"id": 1}}
        assert wire.ask("DELETE", f"/v2/namespaces/{dots}") == (200, {"status": "OK"})


def test_bodies_are_compressed_in_both_directions_on_request(server, name):
    rows = [{"id": each, "text": f"text {each}" * 5} for each in range(300)]
    body = gzip.compress(json.dumps({"upsert_rows": rows}).encode(), 1)
    status, _, answer = raw(server, "POST", f"/v2/namespaces/{name}", body, {"content-encoding": "gzip"})
    assert status == 200, answer
    query = json.dumps({"limit": 300, "include_attributes": True}).encode()
    path = f"/v2/namespaces/{name}/query"
    _, headers, plain = raw(server, "POST", path, query, {"accept-encoding": "identity"})
    assert "content-encoding" not in headers
    _, headers, packed = raw(server, "POST", path, query, {"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip" and len(packed) < len(plain) / 4
    assert json.loads(gzip.decompress(packed))["rows"] == json.loads(plain)["rows"]
    status, _, answer = raw(server, "POST", path, b"not gzip", {"content-encoding": "gzip"})
    assert status == 400 and b"gzip" in answer


def test_a_bomb_does_not_go_off(server, name):
    bomb = gzip.compress(bytes(600_000_000), 9)
    assert len(bomb) < 1_000_000
    status, _, answer = raw(server, "POST", f"/v2/namespaces/{name}", bomb, {"content-encoding": "gzip"})
    assert status == 413, answer


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server, name):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        head = f"POST /v2/namespaces/{name} HTTP/1.1\r\nhost: x\r\ncontent-length: 600000000\r\n\r\n"
        stream.sendall(head.encode())
        assert stream.recv(100).startswith(b"HTTP/1.1 413 ")


def test_an_idempotency_key_has_one_effect_and_one_content(server, wire, name):
    body = {"upsert_rows": [{"id": 1, "a": 1}]}
    first = wire.write(name, body, key="once")
    assert first[0] == 200
    assert wire.write(name, {"upsert_rows": [{"id": 1, "a": 2}]})[0] == 200
    again = wire.write(name, body, key="once")
    assert again[0] == 200 and again[1]["rows_affected"] == first[1]["rows_affected"]
    assert wire.documents(name)[1]["a"] == 2
    status, answer = wire.write(name, {"upsert_rows": [{"id": 1, "a": 3}]}, key="once")
    assert status == 422 and "idempotency key" in answer["error"]
    for bad in ["", "k" * 257]:
        status, _, _ = raw(server, "POST", f"/v2/namespaces/{name}", json.dumps(body).encode(),
                           {"idempotency-key": bad})
        assert status == 400


def test_numbers_come_back_as_they_went(wire, name):
    rows = [{"id": 2**64 - 1, "i": -(2**63), "f": 0.1 + 0.2, "v": [0.7, -1.5e-10, 16777216], "u": 2**63}]
    schema = {"u": "uint", "v": {"type": "[3]f32", "ann": True}}
    body = {"upsert_rows": rows, "schema": schema, "distance_metric": "euclidean_squared"}
    status, answer = wire.write(name, body)
    assert status == 200, answer
    assert list(wire.documents(name).values()) == rows


def test_namespaces_are_listed_page_by_page(wire, name):
    names = [f"{name}-page-{each:02}" for each in range(7)]
    for each in names:
        assert wire.write(each, {"upsert_rows": [{"id": 1}]})[0] == 200
    assert wire.ask("DELETE", f"/v2/namespaces/{names[3]}")[0] == 200
    found, cursor = [], ""
    while cursor is not None:
        path = f"/v1/namespaces?prefix={name}-page-&page_size=2&cursor={cursor}"
        status, page = wire.ask("GET", path)
        assert status == 200, page
        found += [each["id"] for each in page["namespaces"]]
        cursor = page.get("next_cursor")
    assert found == names[:3] + names[4:]
    assert wire.ask("GET", "/v1/namespaces?page_size=0")[0] == 400
    assert wire.ask("GET", "/v1/namespaces?page_size=x")[1].startswith("Failed to deserialize query string")
    assert wire.ask("GET", "/v1/namespaces?cursor=!")[0] == 400


def test_figures_are_shown(wire, filled):
    status, page = wire.ask("GET", "/metrics")
    assert status == 200 and page.endswith("# EOF\n")
    assert 'sana_http_requests_total{route="write",status="200"}' in page
    assert 'sana_store_requests_total{kind="put_visible"}' in page
    assert f'sana_unindexed_bytes{{namespace="{filled}"}}' in page
    assert "sana_crashes_total 0" in page


def test_a_hint_and_a_measurement_of_recall_are_answered(wire, filled):
    status, answer = wire.ask("GET", f"/v1/namespaces/{filled}/hint_cache_warm")
    assert status == 202 and answer["status"] == "ACCEPTED" and isinstance(answer["message"], str)
    status, answer = wire.ask("POST", f"/v1/namespaces/{filled}/_debug/recall", {"num": 5, "top_k": 10})
    assert (status, answer) == (200, {"avg_recall": 1.0, "avg_exhaustive_count": 2.0, "avg_ann_count": 2.0})
    for path in ["hint_cache_warm", "_debug/purge_cache", "metadata", "schema"]:
        assert wire.ask("GET", f"/v1/namespaces/{filled}-none/{path}")[0] == 404
