//! What attributes a namespace has: part of its head.
//!
//! # Invariants
//!
//! - **S1** An attribute's number is never reused and its type never changes, so segments need no
//!   schema of their own.
//! - **S3** An attribute of dense vectors has a metric, and no other attribute has one.

use std::collections::BTreeMap;

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::base::id::AttributeId;
use crate::base::name::AttributeName;
use crate::base::value::{IdType, Type};

/// The schema in force.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Schema {
    /// The kind of ids, once there is one.
    pub id_type: Option<IdType>,
    /// How vectors are compared where an attribute does not say otherwise.
    pub metric: Option<Metric>,
    /// The attributes by name.
    pub attributes: BTreeMap<AttributeName, Attribute>,
    /// The number of the next new attribute. Numbers of dropped attributes are not given again.
    pub next_id: AttributeId,
}

/// One attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// Its number.
    pub id: AttributeId,
    /// Its type.
    pub value_type: Type,
    /// Whether filters, orders and groups may use it.
    pub filterable: bool,
    /// Whether filters may match it with globs though it is not filterable.
    pub glob: bool,
    /// Whether filters may match it with regular expressions.
    pub regex: bool,
    /// How its vectors are compared; of dense vectors alone.
    pub metric: Option<Metric>,
}

impl Attribute {
    /// As a client gets it who says nothing but its type.
    pub const fn of(id: AttributeId, value_type: Type) -> Self {
        let filterable = value_type.is_comparable();
        Self { id, value_type, filterable, glob: false, regex: false, metric: None }
    }
}

/// How vectors are compared: smaller is nearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Metric {
    /// 1 − cosine similarity.
    Cosine,
    /// Sum of squared differences.
    EuclideanSquared,
    /// Minus the dot product.
    Dot,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::EuclideanSquared, Self::Dot];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine_distance",
            Self::EuclideanSquared => "euclidean_squared",
            Self::Dot => "dot_product",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Schema {
    /// The name and description of the attribute of this number.
    pub fn by_id(&self, id: AttributeId) -> Option<(&AttributeName, &Attribute)> {
        self.attributes.iter().find(|(_, attribute)| attribute.id == id)
    }
}
