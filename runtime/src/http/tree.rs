//! JSON whose shape is looked at later, as a tree.
//!
//! # Invariants
//!
//! - **J1** No object has a key twice. Which of the two was meant nobody can know, so it is refused
//!   here as it is where objects are parsed field by field.

use core::fmt;
use core::ops::Deref;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Any value.
#[derive(Debug, Default)]
pub(super) struct Tree(pub(super) Value);

/// An object.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Deref for Tree {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Deref for Fields {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FieldsVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Tree(value)) = list.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        FieldsVisitor.visit_map(map).map(Value::Object)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if fields.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
            let Tree(value) = map.next_value()?;
            fields.insert(key, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_what_any_other_parser_makes_of_it() {
        let text = r#"{"a":[1,-1,1.5,18446744073709551615,null,true,"x\n",{"b":{}}],"":[]}"#;
        let Tree(tree) = serde_json::from_str(text).unwrap();
        assert_eq!(tree, serde_json::from_str::<Value>(text).unwrap());
        let Fields(fields) = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(fields), tree);
    }

    #[test]
    fn a_key_that_comes_twice_is_named_wherever_it_is() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"c":2,"a":null}}"#, r#"[[{"a":{},"\u0061":{}}]]"#]
        {
            let error = serde_json::from_str::<Tree>(text).unwrap_err().to_string();
            assert!(error.contains("duplicate field `a`"), "{text}: {error}");
        }
        assert!(serde_json::from_str::<Tree>(r#"[{"a":1},{"a":{"a":1}}]"#).is_ok());
        assert!(serde_json::from_str::<Fields>(r#"{"a":1,"a":1}"#).is_err());
        assert!(serde_json::from_str::<Fields>("[]").is_err());
    }
}
