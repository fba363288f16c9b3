"""What a write does to documents: a model of it that shares nothing with the server.

A state is the documents by id and the types of their attributes. `applied` takes a body as it is sent.
"""

REFUSED = "refused"
COMPARISONS = {
    "Eq": lambda found, value: found == value,
    "NotEq": lambda found, value: found != value,
    # What is missing is less than everything.
    "Lt": lambda found, value: found is None or found < value,
    "Gte": lambda found, value: found is not None and found >= value,
}
TYPES = {int: "int", str: "string"}


class Refusal(Exception):
    """The server has to refuse this with status 400, and to leave everything as it is."""


def applied(body, documents, types):
    """The documents and types after a write, and its outcome."""
    try:
        changed, known = dict(documents), dict(types)
        outcome = Effects(body, changed, known).outcome
    except Refusal:
        return documents, types, REFUSED
    return changed, known, outcome


class Effects:
    """One write, done to documents and types, part after part in the order of the interface."""

    def __init__(self, body, documents, types):
        self.body, self.documents, self.types, self.outcome = body, documents, types, {}
        self.drop()
        self.extend()
        self.by_filter()
        self.upsert()
        self.patch()
        self.delete()

    def count(self, name, count):
        self.outcome[name] = self.outcome.get(name, 0) + count

    def drop(self):
        for name in self.body.get("schema", {}):
            if self.types.pop(name, None) is None:
                raise Refusal(f"{name} cannot be dropped")
            for at, document in self.documents.items():
                self.documents[at] = {each: value for each, value in document.items() if each != name}

    def extend(self):
        written = [*self.body.get("upsert_rows", []), *self.body.get("patch_rows", [])]
        written.append(self.body.get("patch_by_filter", {}).get("patch", {}))
        for name, value in (item for document in written for item in document.items()):
            if name != "id" and self.types.setdefault(name, TYPES[type(value)]) != TYPES[type(value)]:
                raise Refusal(f"{name} is of another type")

    def by_filter(self):
        removed = self.matches(self.body.get("delete_by_filter"))
        changed = self.matches(self.body.get("patch_by_filter", {}).get("filters"))
        if removed is not None:
            self.count("rows_deleted", len(removed))
        if changed is not None:
            changed = [each for each in changed if each not in (removed or [])]
            self.count("rows_patched", len(changed))
        for each in removed or []:
            del self.documents[each]
        for each in changed or []:
            self.change(each, self.body["patch_by_filter"]["patch"])

    def upsert(self):
        rows, condition = self.body.get("upsert_rows"), self.body.get("upsert_condition")
        if rows is not None:
            there = self.documents.get
            rows = [row for row in rows if there(row["id"]) is None or self.allows(condition, row["id"], row)]
            self.documents.update((row["id"], {k: v for k, v in row.items() if k != "id"}) for row in rows)
            self.count("rows_upserted", len(rows))

    def patch(self):
        rows, condition = self.body.get("patch_rows"), self.body.get("patch_condition")
        if rows is not None:
            rows = [row for row in rows if row["id"] in self.documents and self.allows(condition, row["id"], row)]
            for row in rows:
                self.change(row["id"], row)
            self.count("rows_patched", len(rows))

    def delete(self):
        ids, condition = self.body.get("deletes"), self.body.get("delete_condition")
        if ids is not None:
            # Without a condition nothing is looked up: what is not there counts as well.
            if condition is not None:
                ids = [each for each in ids if each in self.documents and self.allows(condition, each, {})]
            for each in ids:
                self.documents.pop(each, None)
            self.count("rows_deleted", len(ids))

    def matches(self, condition):
        if condition is None:
            return None
        return [each for each in self.documents if self.allows(condition, each, {})]

    def allows(self, condition, at, new):
        return condition is None or holds(condition, {"id": at, **self.documents[at]}, new)

    def change(self, at, changes):
        changes = {name: value for name, value in changes.items() if name != "id"}
        self.documents[at] = {**self.documents[at], **changes}


def holds(condition, document, new):
    """Whether a document meets a filter. `new` is what `$ref_new` refers to."""
    if condition[0] == "And":
        return all(holds(each, document, new) for each in condition[1])
    name, operator, value = condition
    if isinstance(value, dict):
        value = new[value["$ref_new"]]
    return COMPARISONS[operator](document.get(name), value)
