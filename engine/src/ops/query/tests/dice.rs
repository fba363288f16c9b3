//! Random namespaces and random questions about them, from one number, or as a fuzzer likes.
//!
//! This file, `model.rs`, `patterns.rs` and `world.rs` are also part of the fuzz target `filter`, so
//! they name the engine from outside.

use super::model::type_of;
use super::world::{World, document, name};
use sana_engine::base::value::{
    Element, Float, Half, Id, IdType, Raw, Scalar, ScalarType, Sparse, Type, Uuid, Value, Vector,
    VectorType,
};
use sana_engine::format::log::Operation;
use sana_engine::format::schema::{Metric, Schema};
use sana_engine::namespace::request::{
    Aggregate, Compute, Consistency, Direction, Fuse, GroupKey, Include, Operator, OrderKey, Per,
    Predicate, QueryRequest, Rank, Search, Want,
};

/// Where decisions come from: bytes first, as long as there are any, then a number.
pub(super) struct Dice {
    /// The next is the last.
    bytes: Vec<u8>,
    number: u64,
    /// Whether scalars may be any that there are, and not only the few that filters are sure to hit.
    is_wide: bool,
}

/// The attributes of a random namespace. Few values each, so that filters hit; `s` is long, so that
/// its column has several pages, and so are vectors.
const ATTRIBUTES: [(&str, Type, bool); 21] = [
    ("b", Type::Scalar(ScalarType::Bool), true),
    ("i", Type::Scalar(ScalarType::Int), true),
    ("u", Type::Scalar(ScalarType::Uint), true),
    ("f", Type::Scalar(ScalarType::Float), true),
    ("s", Type::Scalar(ScalarType::String), true),
    ("g", Type::Scalar(ScalarType::Uuid), true),
    ("d", Type::Scalar(ScalarType::DateTime), true),
    ("is", Type::Array(ScalarType::Int), true),
    ("ss", Type::Array(ScalarType::String), true),
    ("fs", Type::Array(ScalarType::Float), true),
    ("bs", Type::Array(ScalarType::Bool), true),
    ("us", Type::Array(ScalarType::Uint), true),
    ("gs", Type::Array(ScalarType::Uuid), true),
    ("ds", Type::Array(ScalarType::DateTime), true),
    ("v", Type::vector(DIMENSIONS), false),
    ("h", Type::Vector(VectorType { dimensions: 5, element: Element::F16 }), false),
    ("q", Type::Vector(VectorType { dimensions: 7, element: Element::I8 }), false),
    ("sp", Type::Sparse, false),
    ("blob", Type::Bytes, false),
    ("plain", Type::Scalar(ScalarType::String), false),
    ("never", Type::Scalar(ScalarType::Int), true),
];
const DIMENSIONS: u32 = 3_000;

impl Dice {
    pub(super) fn new(number: u64) -> Self {
        Self { bytes: Vec::new(), number, is_wide: false }
    }

    /// Decisions that a fuzzer takes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.iter().rev().copied().collect(), number: 0, is_wide: true }
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end <= 256
            && let Some(byte) = self.bytes.pop()
        {
            return u64::from(byte) % end;
        }
        self.number = self.number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.number ^ self.number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A namespace, some of it indexed, some merged, some of it not indexed.
    pub(super) fn world(&mut self) -> World {
        let ids = self.pick(&[IdType::Uint, IdType::Uuid, IdType::String]);
        let metric = self.pick(&Metric::ALL);
        let mut world = World::new(ids, metric, &ATTRIBUTES);
        for vectors in ["h", "q"] {
            let attribute = world.schema.attributes.get_mut(&name(vectors)).unwrap();
            attribute.metric = Some(self.pick(&Metric::ALL));
        }
        self.fill(&mut world, 8, 40);
        world
    }

    /// A small namespace of some of the attributes that filters look at.
    pub(super) fn small_world(&mut self) -> World {
        let ids = self.pick(&[IdType::Uint, IdType::Uuid, IdType::String]);
        let small = |t: Type| matches!(t, Type::Scalar(_) | Type::Array(_));
        let some = ATTRIBUTES.into_iter().filter(|(_, t, _)| small(*t) && !self.one_in(3));
        let some: Vec<_> = some.collect();
        let mut world = World::new(ids, Metric::Cosine, &some);
        self.fill(&mut world, 4, 12);
        world
    }

    /// Writes to a namespace, and indexes and merges now and then.
    fn fill(&mut self, world: &mut World, batches: u64, operations: u64) {
        for _ in 0..self.below(batches) {
            let count = self.below(operations);
            let operations = (0..count).map(|_| self.operation(&world.schema)).collect();
            world.write(operations);
            if self.one_in(2) {
                world.flush();
            }
            if world.segments() > 1 && self.one_in(3) {
                world.merge(self.below(world.segments() as u64 - 1) as usize);
            }
        }
    }

    fn operation(&mut self, schema: &Schema) -> Operation {
        let id = self.id(schema.id_type.unwrap());
        if self.one_in(5) {
            return Operation::Delete(id);
        }
        let mut values = Vec::new();
        for (name, attribute) in &schema.attributes {
            if name.as_str() != "never" && !self.one_in(4) {
                values.push((attribute.id, self.value(attribute.value_type)));
            }
        }
        values.sort_unstable_by_key(|(attribute, _)| *attribute);
        Operation::Put(document(id, values))
    }

    fn id(&mut self, ids: IdType) -> Id {
        let number = self.below(60);
        match ids {
            IdType::Uint => Id::Uint(number),
            IdType::Uuid => Id::Uuid(u128::from(number) << 100 | 7),
            IdType::String => Id::String(format!("id {number}").into()),
        }
    }

    fn value(&mut self, value_type: Type) -> Value {
        match value_type {
            Type::Scalar(t) => Value::Scalar(self.scalar(t)),
            Type::Array(t) => {
                let count = self.below(4);
                Value::Array((0..count).map(|_| self.scalar(t)).collect())
            }
            Type::Sparse => Value::Sparse(
                Sparse::new(
                    self.weights()
                        .into_iter()
                        .map(|(at, weight)| (at, Half::nearest(weight.number() as f32).unwrap()))
                        .collect::<Vec<_>>(),
                )
                .unwrap(),
            ),
            Type::Bytes => {
                let count = self.below(5);
                Value::Bytes((0..count).map(|_| self.below(256) as u8).collect())
            }
            Type::Vector(VectorType { dimensions: n, .. }) => {
                let zero = self.one_in(8);
                let component = |_| if zero { 0.0 } else { self.below(3) as f32 };
                // Only the first few differ, so that there are ties.
                let mut components: Vec<f32> = (0..4).map(component).collect();
                components.resize(n as usize, 0.0);
                Value::Vector(Vector::new(components).unwrap())
            }
        }
    }

    /// Weights of a few dimensions, ascending; they are small and often cancel out.
    fn weights(&mut self) -> Vec<(u32, Float)> {
        let dimensions = (0..12).filter(|_| self.one_in(3)).collect::<Vec<u32>>();
        let weight = |at| (at * 1_000, Float::new(self.below(5) as f64 - 2.0).unwrap());
        dimensions.into_iter().map(weight).collect()
    }

    fn scalar(&mut self, t: ScalarType) -> Scalar {
        if self.is_wide && self.one_in(3) {
            return self.any_scalar(t);
        }
        let n = self.below(9);
        match t {
            ScalarType::Bool => Scalar::Bool(n < 4),
            ScalarType::Int => Scalar::Int(n.cast_signed() - 4),
            ScalarType::Uint => Scalar::Uint(n),
            ScalarType::Float => Scalar::Float(Float::new(n as f64 / 2.0 - 2.0).unwrap()),
            ScalarType::String => Scalar::String(self.text(n).into()),
            ScalarType::Uuid => Scalar::Uuid(u128::from(n)),
            ScalarType::DateTime => Scalar::DateTime(n.cast_signed() * 86_400_000),
        }
    }

    /// Texts that begin alike, some longer than a zone remembers. A fuzzer's are short, for brute force
    /// takes its time with long ones.
    fn text(&self, n: u64) -> String {
        let longer = if self.is_wide { 10 } else { 600 };
        match n {
            0 => String::new(),
            1..=3 => "é".repeat(20 + n as usize * longer),
            n => format!("text {n}"),
        }
    }

    /// Any scalar of a type; of moments, some.
    fn any_scalar(&mut self, t: ScalarType) -> Scalar {
        let mut word = || (0..8).fold(0, |word, _| word << 8 | self.below(256));
        let float = |bits| Float::new(f64::from_bits(bits)).or(Float::new(0.0)).unwrap();
        match t {
            ScalarType::Bool => Scalar::Bool(word() % 2 == 0),
            ScalarType::Int => Scalar::Int(word().cast_signed()),
            ScalarType::Uint => Scalar::Uint(word()),
            ScalarType::Float => Scalar::Float(float(word())),
            ScalarType::Uuid => Scalar::Uuid(u128::from(word()) << 64 | u128::from(word())),
            ScalarType::String => {
                let chars = word().to_le_bytes();
                let chars = chars.chunks_exact(2).map(|pair| {
                    let code = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                    char::from_u32(code << (code % 3)).unwrap_or('\0')
                });
                Scalar::String(chars.collect::<String>().into())
            }
            ScalarType::DateTime => {
                let (day, ms) = (word() % 28, word() % 1_000);
                Scalar::DateTime((day * 86_400_000 + ms).cast_signed())
            }
        }
    }

    /// A scalar as a client sends it, sometimes one that no document has.
    fn raw(&mut self, t: ScalarType) -> Raw {
        if self.is_wide && self.one_in(3) {
            return match self.any_scalar(t) {
                Scalar::Bool(is) => Raw::Bool(is),
                Scalar::Int(n) => Raw::Integer(n.into()),
                Scalar::Uint(n) => Raw::Integer(n.into()),
                Scalar::Float(n) => Raw::Number(n),
                Scalar::String(text) => Raw::Text(text),
                Scalar::Uuid(id) => Raw::Text(Uuid(id).to_string().into()),
                Scalar::DateTime(at) => {
                    let (day, ms) = (at / 86_400_000 + 1, at % 86_400_000);
                    Raw::Text(format!("1970-01-{day:02}T00:00:00.{ms:03}").into())
                }
            };
        }
        let n = i128::from(self.below(10));
        match t {
            ScalarType::Bool => Raw::Bool(n < 4),
            ScalarType::Int => Raw::Integer(n - 4),
            ScalarType::Uint => Raw::Integer(n),
            ScalarType::Float if n == 6 => Raw::Integer(1),
            ScalarType::Float => Raw::Number(Float::new(n as f64 / 2.0 - 2.0).unwrap()),
            ScalarType::String => Raw::Text(self.text(n.unsigned_abs() as u64).into()),
            ScalarType::Uuid => Raw::Text(Uuid(n.cast_unsigned()).to_string().into()),
            ScalarType::DateTime => Raw::Text(format!("1970-01-{:02}", n + 1).into()),
        }
    }

    fn raw_of(&mut self, schema: &Schema, attribute: &str, t: ScalarType) -> Raw {
        if attribute != "id" {
            return self.raw(t);
        }
        match self.id(schema.id_type.unwrap()) {
            Id::Uint(id) => Raw::Integer(id.into()),
            id => Raw::Text(id.to_string().into()),
        }
    }

    /// A question that only a filter decides.
    pub(super) fn filtered(&mut self, schema: &Schema) -> QueryRequest {
        let filter = Some(self.predicate(schema, 3));
        let want = Want::rows(Rank::By(Vec::new()), 1_000, Include::Nothing);
        QueryRequest { filter, want, consistency: Consistency::Strong }
    }

    pub(super) fn request(&mut self, schema: &Schema) -> QueryRequest {
        let filter = (!self.one_in(6)).then(|| self.predicate(schema, 3));
        let consistency = Consistency::Strong;
        if !self.one_in(8) {
            let want = self.want(schema, false);
            return QueryRequest { filter, want, consistency };
        }
        let fused = self.one_in(2);
        let count = self.below(5);
        let searches = (0..count).map(|_| {
            let filter = self.one_in(2).then(|| self.predicate(schema, 2));
            Search { filter, want: self.want(schema, fused) }
        });
        let searches: Vec<Search> = searches.collect();
        let float = |number: u64| Float::new(number as f64 / 4.0).unwrap();
        let fuse = fused.then(|| Fuse {
            rank_constant: float(self.below(300)),
            weights: self
                .one_in(2)
                .then(|| searches.iter().map(|_| float(1 + self.below(9))).collect()),
            offset: self.pick(&[0, 0, 2]),
            limit: self.pick(&[0, 3, 10_000]),
        });
        let filter = filter.filter(|_| self.one_in(3));
        QueryRequest { filter, want: Want::Several { searches, fuse }, consistency }
    }

    /// What is wanted. If it is to be fused: rows, in an order that the model knows to the last digit.
    fn want(&mut self, schema: &Schema, fused: bool) -> Want {
        match self.below(9) {
            8 if !fused => Want::Ids { limit: self.pick(&[0, 1, 4, 1_000]) },
            0 if !fused => Want::Aggregates(self.aggregates()),
            1 if !fused => {
                let mut keys: Vec<GroupKey> = Vec::new();
                for _ in 0..=self.below(3) {
                    let each = self.one_in(3) && !keys.iter().any(|key| key.each);
                    let names: &[&str] = if each {
                        &["bs", "is", "us", "fs", "ss", "gs", "ds"]
                    } else {
                        &["b", "i", "u", "f", "s", "g", "d", "never"]
                    };
                    let picked = self.pick(names);
                    if !keys.iter().any(|key| key.label == picked) {
                        let key = OrderKey::Attribute(name(picked));
                        keys.push(GroupKey { label: picked.to_owned(), key, each });
                    }
                }
                let aggregates = self.aggregates();
                Want::Groups { keys, aggregates, limit: self.pick(&[0, 1, 4, 10_000]) }
            }
            _ => self.rows(schema, fused),
        }
    }

    fn aggregates(&mut self) -> Vec<(String, Aggregate)> {
        let sums = ["i", "u", "f", "never"].map(|a| (format!("sum {a}"), Aggregate::Sum(name(a))));
        let count = ("count".to_owned(), Aggregate::Count);
        let all: Vec<_> = sums.into_iter().chain([count]).collect();
        all.into_iter().filter(|_| !self.one_in(3)).collect()
    }

    fn rows(&mut self, schema: &Schema, fused: bool) -> Want {
        let rank = match self.below(7) {
            0 | 1 => self.nearest(schema),
            2 => Rank::Likest { attribute: name("sp"), to: Raw::Weights(self.weights()) },
            3 => {
                let attribute = name(self.pick(&["v", "h", "sp", "s", "never"]));
                Rank::Shuffled { attribute, seed: self.below(4) }
            }
            _ => {
                let count = self.below(4);
                Rank::By((0..count).map(|_| self.order_key()).collect())
            }
        };
        let is_cosine = matches!(&rank, Rank::Nearest { attribute, .. }
            if schema.attributes[attribute].metric == Some(Metric::Cosine));
        if is_cosine && fused {
            return self.rows(schema, fused);
        }
        let include = match self.below(4) {
            0 => Include::Nothing,
            1 => Include::All,
            2 => Include::These(vec![name("i"), name("plain"), name("ss")]),
            _ => Include::AllBut(vec![name("v"), name("unknown")]),
        };
        let per = (!is_cosine && self.one_in(4)).then(|| {
            let count = 1 + self.below(2);
            let keys = (0..count).map(|_| self.order_key().0).collect();
            Per { keys, limit: self.pick(&[1, 2, 5]) }
        });
        let compute = (0..self.below(3)).map(|n| (format!("computed {n}"), self.compute(schema)));
        let compute = compute.collect();
        Want::Rows { rank, limit: self.pick(&[0, 1, 3, 10, 1_000]), per, include, compute }
    }

    fn nearest(&mut self, schema: &Schema) -> Rank {
        let attribute = name(self.pick(&["v", "h", "q"]));
        let Type::Vector(t) = schema.attributes[&attribute].value_type else { panic!("no vector") };
        let to = (0..t.dimensions).map(|_| Raw::Integer(i128::from(self.below(3))));
        Rank::nearest(attribute, Raw::List(to.collect()))
    }

    fn compute(&mut self, schema: &Schema) -> Compute {
        match self.below(3) {
            0 => match self.nearest(schema) {
                Rank::Nearest { attribute, to, .. } => Compute::Distance { attribute, to },
                other => panic!("{other:?} is no distance"),
            },
            1 => Compute::Score { attribute: name("sp"), to: Raw::Weights(self.weights()) },
            _ => Compute::Matches(self.predicate(schema, 2)),
        }
    }

    fn order_key(&mut self) -> (OrderKey, Direction) {
        let key = self.pick(&["id", "b", "i", "u", "f", "s", "g", "d", "never"]);
        let key = if key == "id" { OrderKey::Id } else { OrderKey::Attribute(name(key)) };
        (key, self.pick(&[Direction::Ascending, Direction::Descending]))
    }

    fn predicate(&mut self, schema: &Schema, depth: u64) -> Predicate {
        let parts = |dice: &mut Self| {
            let count = dice.below(4);
            (0..count).map(|_| dice.predicate(schema, depth - 1)).collect()
        };
        match if depth == 0 { 9 } else { self.below(10) } {
            0 | 1 => Predicate::And(parts(self)),
            2 | 3 => Predicate::Or(parts(self)),
            4 => Predicate::Not(Box::new(self.predicate(schema, depth - 1))),
            _ => self.comparison(schema),
        }
    }

    fn comparison(&mut self, schema: &Schema) -> Predicate {
        let names =
            ["id", "b", "i", "u", "f", "s", "g", "d", "is", "ss", "fs", "bs", "us", "never"];
        let names = known(schema, &names);
        let attribute = self.pick(&names);
        // A fuzzer waits for patterns to be compiled.
        if self.one_in(if self.is_wide { 50 } else { 6 }) {
            return self.pattern(schema);
        }
        let (t, is_array) = type_of(schema, attribute);
        let operators: &[Operator] = if is_array {
            &[
                Operator::Eq,
                Operator::NotEq,
                Operator::In,
                Operator::NotIn,
                Operator::Contains,
                Operator::NotContains,
                Operator::ContainsAny,
                Operator::NotContainsAny,
                Operator::AnyLt,
                Operator::AnyLte,
                Operator::AnyGt,
                Operator::AnyGte,
            ]
        } else {
            &[
                Operator::Eq,
                Operator::NotEq,
                Operator::In,
                Operator::NotIn,
                Operator::Lt,
                Operator::Lte,
                Operator::Gt,
                Operator::Gte,
            ]
        };
        let operator = self.pick(operators);
        let count = self.below(4);
        let list = Raw::List((0..count).map(|_| self.raw_of(schema, attribute, t)).collect());
        let one = self.raw_of(schema, attribute, t);
        let nullable = !is_array || matches!(operator, Operator::Eq | Operator::NotEq);
        let operand = match operator {
            Operator::In | Operator::NotIn if self.one_in(5) => one,
            Operator::In | Operator::NotIn => list,
            Operator::ContainsAny | Operator::NotContainsAny => list,
            _ if nullable && self.one_in(6) => Raw::Null,
            Operator::Eq | Operator::NotEq if is_array => list,
            _ => one,
        };
        Predicate::Compare { attribute: attribute.into(), operator, operand }
    }
}

impl Dice {
    /// A comparison with a pattern.
    fn pattern(&mut self, schema: &Schema) -> Predicate {
        let is_text = schema.id_type == Some(IdType::String);
        let globbed = known(schema, if is_text { &["id", "s", "ss"] } else { &["s", "s", "ss"] });
        let searched = known(schema, &["s", "plain"]);
        let globs = [Operator::Glob, Operator::NotGlob, Operator::IGlob, Operator::NotIGlob];
        let (attribute, operator) = match (searched.is_empty(), globbed.is_empty()) {
            (true, true) => return Predicate::And(Vec::new()),
            (false, empty) if empty || self.one_in(3) => (self.pick(&searched), Operator::Regex),
            _ => (self.pick(&globbed), self.pick(&globs)),
        };
        let parts: &[&str] = if operator == Operator::Regex {
            &[
                "t",
                "x+",
                "(e|é)+",
                ".*",
                "[4-6]",
                "^",
                "$",
                " ?",
                "(text|é*) ",
                "(t|te)(xt|ext)?",
                ".",
            ]
        } else {
            &[
                "text ",
                "te",
                "TEXT ",
                "é",
                "*",
                "?",
                "[4-6]",
                "[!5]",
                "{text,É} ",
                "{4,5*,}",
                "5",
                "id",
            ]
        };
        let count = self.below(5);
        let text: String = (0..count).map(|_| self.pick(parts)).collect();
        let operand = Raw::Text(text.into());
        Predicate::Compare { attribute: attribute.into(), operator, operand }
    }
}

/// Those of the names that are in the schema.
fn known(schema: &Schema, names: &[&'static str]) -> Vec<&'static str> {
    let is_known = |wanted: &&&str| schema.attributes.keys().any(|name| name.as_str() == **wanted);
    names.iter().filter(|name| **name == "id" || is_known(name)).copied().collect()
}
