//! What a client's condition means under a schema.
//!
//! | operator              | of a scalar                   | of an array                     |
//! |-----------------------|-------------------------------|---------------------------------|
//! | `Eq`                  | is it; with null: is missing  | is this array, in this order    |
//! | `In`                  | is one of a list, or it       | has an element of a list, or it |
//! | `Contains`            | –                             | has this element                |
//! | `ContainsAny`         | –                             | has an element of a list        |
//! | `Lt` `Lte`            | is less, or missing           | –                               |
//! | `Gt` `Gte`            | is greater; never missing     | –                               |
//! | `AnyLt` … `AnyGte`    | –                             | has an element that is          |
//! | `Glob` `IGlob`        | is a text that matches whole  | has an element that does        |
//! | `Regex`               | is a text that matches within | –                               |
//! | `Not…`                | the exact complement, nulls included                           ||
//!
//! Null comes before every value, so `Lt null` holds for nothing, `Lte null` for what is missing, and
//! `Gt null` for what is there, as does `Gte null`: neither ever matches null. Where an element is
//! asked for, null is an error.

use core::cmp::Ordering;

use crate::base::cast::{CastProblem, cast_array, cast_scalar, nearest_float};
use crate::base::limits::{CONDITIONS_MAX, FILTER_DEPTH_MAX, PATTERNS_MAX};
use crate::base::name::AttributeName;
use crate::base::value::{IdType, Raw, Scalar, ScalarType, Type};
use crate::format::schema::{Attribute, Schema};
use crate::index::filter::pattern::{Pattern, PatternKind};
use crate::index::filter::{Filter, Side, Test};
use crate::index::invalid::InvalidQuery;
use crate::index::predicate::{Operator, Predicate};

impl Filter {
    /// Gives a condition its meaning.
    ///
    /// # Errors
    ///
    /// If it names an attribute that does not exist or is not filterable, an operand of another type,
    /// or is nested too deep.
    pub fn resolve(predicate: &Predicate, schema: &Schema) -> Result<Self, InvalidQuery> {
        bound([predicate])?;
        resolve(predicate, schema)
    }
}

/// How much has to be tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Comparisons.
    pub tests: usize,
    /// Values they compare with.
    pub operands: usize,
    /// Those of them that have to be compiled.
    pub patterns: usize,
}

/// Looks how deep conditions go, and how much all of them together have to test, before anything is
/// resolved.
///
/// # Errors
///
/// If it is too much.
pub fn bound<'a>(
    predicates: impl IntoIterator<Item = &'a Predicate>,
) -> Result<Load, InvalidQuery> {
    let mut load = Load::default();
    for predicate in predicates {
        load.add(predicate, FILTER_DEPTH_MAX)?;
    }
    for (count, what, most) in
        [(load.tests, "conditions", CONDITIONS_MAX), (load.patterns, "patterns", PATTERNS_MAX)]
    {
        if count > most {
            return Err(InvalidQuery::TooMany { what, most });
        }
    }
    Ok(load)
}

impl Load {
    fn add(&mut self, predicate: &Predicate, levels: usize) -> Result<(), InvalidQuery> {
        let levels = levels.checked_sub(1).ok_or(InvalidQuery::Depth { most: FILTER_DEPTH_MAX })?;
        match predicate {
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().try_for_each(|part| self.add(part, levels))
            }
            Predicate::Not(part) => self.add(part, levels),
            Predicate::Compare { operator, operand, .. } => {
                let operands = if let Raw::List(all) = operand { all.len() } else { 1 };
                self.test(*operator, operands);
                Ok(())
            }
            Predicate::CompareNew { operator, .. } => {
                self.test(*operator, 1);
                Ok(())
            }
        }
    }

    fn test(&mut self, operator: Operator, operands: usize) {
        self.tests += 1;
        self.operands += operands;
        self.patterns += usize::from(operator.pattern().is_some());
    }
}

fn resolve(predicate: &Predicate, schema: &Schema) -> Result<Filter, InvalidQuery> {
    let all = |parts: &[Predicate]| {
        parts.iter().map(|part| resolve(part, schema)).collect::<Result<Vec<_>, _>>()
    };
    match predicate {
        Predicate::And(parts) => Ok(Filter::All(all(parts)?)),
        Predicate::Or(parts) => Ok(Filter::Any(all(parts)?)),
        Predicate::Not(part) => Ok(not(resolve(part, schema)?)),
        Predicate::Compare { attribute, operator, operand } => {
            Comparison::new(attribute, *operator, operand, schema)?.resolve()
        }
        Predicate::CompareNew { attribute, .. } => Err(InvalidQuery::NewValue(attribute.clone())),
    }
}

impl Operator {
    /// What kind of pattern its operand is, if it is one.
    const fn pattern(self) -> Option<PatternKind> {
        match self {
            Self::Glob | Self::NotGlob => Some(PatternKind::Glob),
            Self::IGlob | Self::NotIGlob => Some(PatternKind::GlobAnyCase),
            Self::Regex => Some(PatternKind::Regex),
            _ => None,
        }
    }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// What is compared.
#[derive(Clone, Copy)]
enum Subject {
    /// The id; of a namespace without ids, nothing.
    Id(Option<IdType>),
    /// An attribute.
    Attribute(Attribute),
}

/// One comparison on its way to a filter.
struct Comparison<'a> {
    name: &'a str,
    subject: Subject,
    operator: Operator,
    operand: &'a Raw,
}

impl<'a> Comparison<'a> {
    fn new(
        name: &'a str,
        operator: Operator,
        operand: &'a Raw,
        schema: &Schema,
    ) -> Result<Self, InvalidQuery> {
        if name == "id" {
            return Ok(Self { name, subject: Subject::Id(schema.id_type), operator, operand });
        }
        let attribute =
            AttributeName::parse(name).ok().and_then(|name| schema.attributes.get(&name));
        let attribute =
            *attribute.ok_or_else(|| InvalidQuery::UnknownFilterAttribute(name.into()))?;
        let allowed = match operator.pattern() {
            Some(PatternKind::Regex) if attribute.filterable && !attribute.regex => {
                return Err(InvalidQuery::NotMatched(name.into()));
            }
            Some(PatternKind::Regex) => attribute.regex,
            Some(_) => attribute.filterable || attribute.glob,
            None => attribute.filterable,
        };
        if !allowed || !attribute.value_type.is_comparable() {
            return Err(InvalidQuery::NotFilterable(name.into()));
        }
        Ok(Self { name, subject: Subject::Attribute(attribute), operator, operand })
    }

    fn resolve(&self) -> Result<Filter, InvalidQuery> {
        let holds = match self.subject {
            // There are no documents, so nothing holds for one of them.
            Subject::Id(None) => Filter::NOTHING,
            Subject::Id(Some(ids)) => self.of_scalar(id_scalar_type(ids))?,
            Subject::Attribute(attribute) => match attribute.value_type {
                Type::Scalar(scalar) => self.of_scalar(scalar)?,
                Type::Array(element) => self.of_array(element)?,
                _ => return Err(InvalidQuery::NotFilterable(self.name.into())),
            },
        };
        let complement = matches!(
            self.operator,
            Operator::NotEq
                | Operator::NotIn
                | Operator::NotContains
                | Operator::NotContainsAny
                | Operator::NotGlob
                | Operator::NotIGlob
        );
        Ok(if complement { not(holds) } else { holds })
    }

    fn of_scalar(&self, t: ScalarType) -> Result<Filter, InvalidQuery> {
        let missing = || self.test(Test::Null);
        let is_null = *self.operand == Raw::Null;
        match self.operator {
            Operator::Eq | Operator::NotEq | Operator::Lte if is_null => Ok(missing()),
            Operator::Gt | Operator::Gte if is_null => Ok(not(missing())),
            Operator::Lt if is_null => Ok(Filter::NOTHING),
            Operator::Eq | Operator::NotEq => Ok(self.test(one_of(self.cast_operand(t)?))),
            Operator::In | Operator::NotIn => Ok(self.test(one_of(self.cast_list(t)?))),
            Operator::Lt | Operator::Lte => Ok(Filter::Any(vec![missing(), self.side(t)?])),
            Operator::Gt | Operator::Gte => self.side(t),
            operator => match operator.pattern() {
                Some(kind) if t == ScalarType::String => self.matches(kind),
                _ => Err(self.inapplicable(Type::Scalar(t))),
            },
        }
    }

    fn of_array(&self, t: ScalarType) -> Result<Filter, InvalidQuery> {
        let list = Type::Array(t);
        match self.operator {
            Operator::Eq | Operator::NotEq if *self.operand == Raw::Null => {
                Ok(self.test(Test::Null))
            }
            Operator::Eq | Operator::NotEq => {
                let array = cast_array(self.operand, t);
                let array = array.map_err(|problem| self.mismatch(self.operand, list, &problem))?;
                let Raw::List(elements) = self.operand else { return Ok(Filter::NOTHING) };
                let is_one = elements.iter().all(|element| is_a_value(element, t));
                Ok(if is_one { self.test(Test::Array(array)) } else { Filter::NOTHING })
            }
            Operator::Contains | Operator::NotContains => {
                Ok(self.test(one_of(self.cast_operand(t)?)))
            }
            Operator::ContainsAny | Operator::NotContainsAny
                if !matches!(self.operand, Raw::List(_)) =>
            {
                Err(self.expected(list, self.operand.kind().into()))
            }
            Operator::In | Operator::NotIn | Operator::ContainsAny | Operator::NotContainsAny => {
                Ok(self.test(one_of(self.cast_list(t)?)))
            }
            Operator::AnyLt | Operator::AnyLte | Operator::AnyGt | Operator::AnyGte => self.side(t),
            Operator::Glob | Operator::NotGlob | Operator::IGlob | Operator::NotIGlob
                if t == ScalarType::String =>
            {
                self.matches(self.operator.pattern().expect("globs are patterns"))
            }
            _ => Err(self.inapplicable(list)),
        }
    }

    /// The scalars on one side of the operand.
    fn side(&self, t: ScalarType) -> Result<Filter, InvalidQuery> {
        let side = match self.operator {
            Operator::Lt | Operator::AnyLt => Side::Below,
            Operator::Lte | Operator::AnyLte => Side::UpTo,
            Operator::Gt | Operator::AnyGt => Side::Above,
            _ => Side::From,
        };
        let bound = self.cast(self.operand, t, Type::Scalar(t))?;
        Ok(self.test(match (self.operand, bound) {
            (Raw::Integer(n), Scalar::Float(_)) => {
                let (nearest, order) = nearest_float(*n);
                Test::Side(side.beside(order), Scalar::Float(nearest))
            }
            (_, bound) => Test::Side(side, bound),
        }))
    }

    /// The texts that match the operand.
    fn matches(&self, kind: PatternKind) -> Result<Filter, InvalidQuery> {
        let Raw::Text(text) = self.operand else {
            let expected = Type::Scalar(ScalarType::String);
            return Err(self.expected(expected, self.operand.kind().into()));
        };
        let pattern = Pattern::new(kind, text).map_err(|problem| InvalidQuery::Pattern {
            attribute: self.name.into(),
            operator: self.operator.name(),
            problem,
        })?;
        Ok(self.test(Test::Matches(pattern)))
    }

    fn test(&self, test: Test) -> Filter {
        match self.subject {
            Subject::Id(_) => Filter::Id(test),
            Subject::Attribute(attribute) => Filter::Attribute(attribute.id, test),
        }
    }

    /// The operand as a list of scalars; a scalar is a list of one. What no value is equal to is left out.
    fn cast_list(&self, t: ScalarType) -> Result<Vec<Scalar>, InvalidQuery> {
        let elements = match self.operand {
            Raw::List(elements) => elements,
            one => core::slice::from_ref(one),
        };
        self.cast_all(elements, t, Type::Array(t))
    }

    /// The operand, if any value is equal to it.
    fn cast_operand(&self, t: ScalarType) -> Result<Vec<Scalar>, InvalidQuery> {
        self.cast_all(core::slice::from_ref(self.operand), t, Type::Scalar(t))
    }

    fn cast_all(
        &self,
        all: &[Raw],
        t: ScalarType,
        expected: Type,
    ) -> Result<Vec<Scalar>, InvalidQuery> {
        let mut scalars = Vec::with_capacity(all.len());
        for raw in all {
            let scalar = self.cast(raw, t, expected)?;
            scalars.extend(Some(scalar).filter(|_| is_a_value(raw, t)));
        }
        Ok(scalars)
    }

    fn cast(&self, raw: &Raw, t: ScalarType, expected: Type) -> Result<Scalar, InvalidQuery> {
        cast_scalar(raw, t).map_err(|problem| self.mismatch(raw, expected, &problem))
    }

    fn mismatch(&self, raw: &Raw, expected: Type, problem: &CastProblem) -> InvalidQuery {
        let got = match (problem, raw) {
            (CastProblem::Spelling { text, .. }, _) => format!("'{text}'"),
            (CastProblem::Range { .. }, Raw::Integer(number)) => number.to_string(),
            _ => self.operand.kind().into(),
        };
        self.expected(expected, got)
    }

    fn expected(&self, expected: Type, got: String) -> InvalidQuery {
        let (attribute, operator) = (self.name.into(), self.operator.name());
        InvalidQuery::OperandType { attribute, operator, expected: expected.to_string(), got }
    }

    fn inapplicable(&self, t: Type) -> InvalidQuery {
        InvalidQuery::Operator {
            attribute: self.name.into(),
            operator: self.operator.name(),
            value_type: t.to_string(),
        }
    }
}

/// Whether what is compared with is a value of the type, and not only near one: an integer may lie between
/// two floats.
fn is_a_value(raw: &Raw, t: ScalarType) -> bool {
    match (raw, t) {
        (Raw::Integer(n), ScalarType::Float) => nearest_float(*n).1 == Ordering::Equal,
        _ => true,
    }
}

impl Side {
    /// The same side of an integer, said of the float nearest to it, which compares with it like this.
    const fn beside(self, nearest: Ordering) -> Self {
        match (self, nearest) {
            (side, Ordering::Equal) => side,
            (Self::Below | Self::UpTo, Ordering::Less) => Self::UpTo,
            (Self::Below | Self::UpTo, Ordering::Greater) => Self::Below,
            (Self::Above | Self::From, Ordering::Less) => Self::Above,
            (Self::Above | Self::From, Ordering::Greater) => Self::From,
        }
    }
}

fn one_of(mut scalars: Vec<Scalar>) -> Test {
    scalars.sort_unstable();
    scalars.dedup();
    Test::OneOf(scalars.into())
}

const fn id_scalar_type(ids: IdType) -> ScalarType {
    match ids {
        IdType::Uint => ScalarType::Uint,
        IdType::Uuid => ScalarType::Uuid,
        IdType::String => ScalarType::String,
    }
}
