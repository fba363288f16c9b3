"""The checker of mixed load must go red where a write is lost, half done or done twice: by hand.

It needs no server.
"""

import pytest

from documents import REFUSED, applied
from history import History, Tally, Write

TYPES = {"n": "int", "mark": "string"}


def upsert(at, n, key=None):
    return Write("upserts", {"upsert_rows": [{"id": at, "n": n}]}, key)


def drop():
    return Write("drops", {"schema": {"mark": {"drop": True}}})


def acknowledged(history, write, **outcome):
    history.sent(write)
    history.answered(write, outcome)


def test_what_was_acknowledged_must_be_read():
    history = History({}, TYPES)
    acknowledged(history, upsert(1, 5), rows_upserted=1)
    history.read({1: {"n": 5}})
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({})


def test_what_was_not_answered_may_be_read_or_not_until_that_is_decided():
    history = History({}, TYPES)
    history.sent(upsert(1, 5))
    history.read({})
    # It was on its way still, and landed.
    history.read({1: {"n": 5}})
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({})


def test_what_was_not_answered_does_not_land_behind_a_later_write():
    history = History({}, TYPES)
    history.sent(upsert(1, 5))
    acknowledged(history, upsert(1, 6), rows_upserted=1)
    history.read({1: {"n": 6}})
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({1: {"n": 5}})


def test_what_another_wrote_behind_it_decides_what_was_not_answered():
    history = History({}, TYPES)
    history.sent(upsert(1, 5))
    history.moved_on()
    history.read({})
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({1: {"n": 5}})


def test_what_was_sent_first_lands_first_or_never():
    history = History({}, TYPES)
    history.sent(upsert(1, 5))
    history.sent(upsert(1, 6))
    history.read({1: {"n": 6}})
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({1: {"n": 5}})


def test_what_changed_nothing_decides_nothing():
    history = History({}, TYPES)
    history.sent(upsert(1, 5))
    acknowledged(history, Write("deletes", {"delete_by_filter": ["n", "Eq", 9]}), rows_deleted=0)
    history.read({})
    history.read({1: {"n": 5}})


def test_what_was_declined_never_happens():
    history, write = History({}, TYPES), upsert(1, 5)
    history.sent(write)
    history.declined(write)
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({1: {"n": 5}})


def test_an_outcome_tells_what_happened_before():
    there = {1: {"n": 1}, 2: {"n": 2}}
    delete = Write("deletes by filter", {"delete_by_filter": ["n", "Lt", 2]})
    history = History(there, TYPES)
    history.sent(delete)
    acknowledged(history, Write("patches", {"patch_rows": [{"id": 1, "n": 7}]}), rows_patched=0)
    history.read({2: {"n": 2}})
    with pytest.raises(AssertionError, match="could be"):
        acknowledged(history, Write("patches", {"patch_rows": [{"id": 1, "n": 8}]}), rows_patched=1)


def test_a_count_of_rows_that_is_wrong_is_seen():
    history = History({1: {"n": 1}, 2: {"n": 1}}, TYPES)
    with pytest.raises(AssertionError, match="could be"):
        acknowledged(history, Write("deletes", {"delete_by_filter": ["n", "Eq", 1]}), rows_deleted=1)


def test_half_a_write_is_seen():
    history = History({}, TYPES)
    both = Write("upserts", {"upsert_rows": [{"id": 1, "n": 1}, {"id": 2, "n": 1}]})
    history.sent(both)
    with pytest.raises(AssertionError, match="a read saw"):
        history.read({1: {"n": 1}})


def test_a_repeat_under_a_key_happens_once():
    insert = {"upsert_rows": [{"id": 1, "n": 1}], "upsert_condition": ["n", "Lt", {"$ref_new": "n"}]}
    write = Write("upserts on a condition", insert, key="k")
    history = History({}, TYPES)
    history.sent(write)
    history.read({1: {"n": 1}})
    history.sent(write)
    # It happened, so that is what the repeat is told. A second time it would change nothing.
    with pytest.raises(AssertionError, match="could be"):
        history.answered(write, {"rows_upserted": 0})
    history.sent(write)
    history.answered(write, {"rows_upserted": 1})
    history.read({1: {"n": 1}})


def test_a_dropped_attribute_is_gone_and_a_second_drop_is_refused():
    history = History({1: {"n": 1, "mark": "a"}}, TYPES)
    history.sent(drop())
    # Whether it happened is told by what a value of another type is answered.
    number = Write("patches", {"patch_rows": [{"id": 1, "mark": 7}]})
    history.sent(number)
    history.answered(number, REFUSED)
    history.read({1: {"n": 1, "mark": "a"}})
    again, third = drop(), drop()
    acknowledged(history, again)
    history.read({1: {"n": 1}})
    history.sent(third)
    history.answered(third, REFUSED)


def test_parts_of_a_write_take_effect_in_order():
    body = {
        "delete_by_filter": ["n", "Lt", 2], "patch_by_filter": {"filters": ["n", "Lt", 3], "patch": {"n": 9}},
        "upsert_rows": [{"id": 1, "n": 5}], "patch_rows": [{"id": 0, "n": 7}, {"id": 3, "n": 8}],
        "deletes": [2, 4],
    }
    documents, _, outcome = applied(body, {n: {"n": n} for n in range(4)}, TYPES)
    assert documents == {1: {"n": 5}, 3: {"n": 8}}
    assert outcome == {"rows_deleted": 4, "rows_patched": 2, "rows_upserted": 1}


def count(client, value):
    return Write("upsert", {}, client=client, value=value)


def counted(tally, write, made):
    tally.sent(write)
    tally.answered(write, {"rows_upserted": made})


def test_increments_in_turn_and_one_in_doubt_are_a_count():
    tally, silent = Tally(), count(2, 2)
    counted(tally, count(1, 1), 1)
    tally.sent(silent)
    counted(tally, count(1, 2), 0)
    counted(tally, count(1, 3), 1)
    tally.read(3, 1, tally.certain())


def test_a_lost_increment_is_seen():
    tally = Tally()
    counted(tally, count(1, 1), 1)
    counted(tally, count(1, 2), 1)
    with pytest.raises(AssertionError, match="increments are lost"):
        tally.read(1, 1, tally.certain())
    # The next increment is refused, though nobody can have come first.
    with pytest.raises(AssertionError, match="nobody else"):
        counted(tally, count(1, 3), 0)


def test_an_increment_that_two_were_told_of_is_seen():
    tally = Tally()
    counted(tally, count(1, 1), 1)
    with pytest.raises(AssertionError, match="had made already"):
        counted(tally, count(2, 1), 1)


def test_an_increment_that_nobody_sent_or_another_made_is_seen():
    tally = Tally()
    counted(tally, count(1, 1), 1)
    with pytest.raises(AssertionError, match="nobody made 2"):
        tally.read(2, 1, tally.certain())
    with pytest.raises(AssertionError, match="was made by 2"):
        tally.read(1, 2, tally.certain())
