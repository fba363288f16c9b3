//! What clients ask of the documents of a namespace and what they are told, in the words of the engine.
//!
//! Whoever speaks a wire protocol translates into these types and back. Nothing here was checked
//! against a schema yet: names may be unknown and values of the wrong type.

use core::time::Duration;
use std::sync::Arc;

use crate::base::name::{AttributeName, Key};
use crate::base::value::{Id, Raw, Value};
use crate::format::frame::BadObject;
use crate::format::schema::Metric;
pub use crate::index::aggregate::{Aggregate, Figure};
pub use crate::index::fuse::Fuse;
pub use crate::index::group::{Group, GroupKey};
pub use crate::index::invalid::InvalidQuery;
pub use crate::index::order::{Direction, OrderKey};
pub use crate::index::predicate::{Operator, Predicate};
pub use crate::index::top::Distance;
use crate::namespace::snapshot::Learned;

/// What to look for in a namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct QueryRequest {
    /// Which documents count; all if `None`.
    pub filter: Option<Predicate>,
    /// What to make of them.
    pub want: Want,
    /// Whether writes that ended before the query began must be seen.
    pub consistency: Consistency,
}

/// How fresh an answer must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Consistency {
    /// Every write that ended before the query began is seen.
    #[default]
    Strong,
    /// A snapshot not older than this may be used.
    Eventual(Duration),
}

/// What a query makes of the documents that count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Want {
    /// The first of them in some order.
    Rows {
        /// The order.
        rank: Rank,
        /// How many.
        limit: usize,
        /// How many of each kind, if not all may be of one.
        per: Option<Per>,
        /// What to say of each.
        include: Include,
        /// What to find out about each, under these labels.
        compute: Vec<(String, Compute)>,
    },
    /// The first of their ids, ascending. What has only to be named takes a fraction of the memory of a row.
    Ids {
        /// How many.
        limit: usize,
    },
    /// Figures over all of them, each under a label.
    Aggregates(Vec<(String, Aggregate)>),
    /// Figures over each group of them, the groups by ascending keys.
    Groups {
        /// What they are grouped by, the first first.
        keys: Vec<GroupKey>,
        /// The figures, each under a label.
        aggregates: Vec<(String, Aggregate)>,
        /// How many groups.
        limit: usize,
    },
    /// Several things, of one moment.
    Several {
        /// What each asks of them; none of these asks several things again.
        searches: Vec<Search>,
        /// How rows become one list, if they shall.
        fuse: Option<Fuse>,
    },
}

impl Want {
    /// The conditions in what is found out about each row.
    pub fn conditions(&self) -> impl Iterator<Item = &Predicate> {
        let compute = if let Self::Rows { compute, .. } = self { compute.as_slice() } else { &[] };
        compute.iter().filter_map(|(_, compute)| match compute {
            Compute::Matches(predicate) => Some(predicate),
            Compute::Distance { .. } | Compute::Score { .. } => None,
        })
    }

    /// The first rows in some order, without more ado.
    pub const fn rows(rank: Rank, limit: usize, include: Include) -> Self {
        Self::Rows { rank, limit, per: None, include, compute: Vec::new() }
    }
}

/// One of several things asked at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Search {
    /// Which documents count; all if `None`.
    pub filter: Option<Predicate>,
    /// What to make of them.
    pub want: Want,
}

/// How many rows may be alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Per {
    /// Rows are alike that have the same values, or lack them, of all of these.
    pub keys: Vec<OrderKey>,
    /// How many of those that are alike.
    pub limit: usize,
}

/// What is found out about a row.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Compute {
    /// How far a vector of it is from another; nothing, if it has none.
    Distance {
        /// The vector attribute.
        attribute: AttributeName,
        /// The other vector.
        to: Raw,
    },
    /// How alike a sparse vector of it is to another; nothing, if not at all.
    Score {
        /// The attribute.
        attribute: AttributeName,
        /// The other vector.
        to: Raw,
    },
    /// Whether it meets a condition.
    Matches(Predicate),
}

/// The order of rows.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Rank {
    /// By keys, the first first; ties by ascending id. No keys: by ascending id.
    By(Vec<(OrderKey, Direction)>),
    /// By distance from a vector, nearest first; ties by ascending id. Documents without a vector are
    /// left out.
    Nearest {
        /// The vector attribute.
        attribute: AttributeName,
        /// The vector: numbers, or base64 of little-endian 32-bit floats.
        to: Raw,
        /// Whether all vectors have to be compared. Else an index may say which, where there is one.
        is_exact: bool,
        /// How the client believes that vectors are compared; another way is an error.
        metric: Option<Metric>,
    },
    /// By dot product with a sparse vector, highest first; ties by ascending id. Documents with a
    /// product of zero are left out.
    Likest {
        /// The attribute with sparse vectors.
        attribute: AttributeName,
        /// The vector: weights of dimensions.
        to: Raw,
    },
    /// In an order that has nothing to do with what they hold, another for each seed: the first are a
    /// sample. Documents without a value are left out.
    Shuffled {
        /// What they must have a value of.
        attribute: AttributeName,
        /// Which order.
        seed: u64,
    },
}

impl Rank {
    /// By distance from a vector, all of them compared.
    pub const fn nearest(attribute: AttributeName, to: Raw) -> Self {
        Self::Nearest { attribute, to, is_exact: true, metric: None }
    }
}

/// Which attributes an answer shows. The id is always shown.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Include {
    /// None.
    #[default]
    Nothing,
    /// All.
    All,
    /// These; an unknown name is an error.
    These(Vec<AttributeName>),
    /// All but these; an unknown name is passed over.
    AllBut(Vec<AttributeName>),
}

/// What a query came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// What was found.
    pub found: Found,
    /// What it was found in.
    pub statistics: Statistics,
    /// What was learned on the way, for the queries that come after.
    pub learned: Option<Arc<Learned>>,
}

/// What a query found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Found {
    /// Rows, in order.
    Rows(Vec<AnswerRow>),
    /// Ids, ascending.
    Ids(Vec<Id>),
    /// A figure for each label, in the order of the request.
    Aggregates(Vec<(String, Figure)>),
    /// Groups, by ascending keys.
    Groups {
        /// The labels of the keys.
        keys: Vec<String>,
        /// The labels of the figures.
        figures: Vec<String>,
        /// The groups.
        groups: Vec<Group>,
    },
    /// What each of several searches found; one list of rows if they were fused.
    Several(Vec<Self>),
}

/// One row of an answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AnswerRow {
    /// Its id.
    pub id: Id,
    /// Its distance or its score, unless it stands where it stands by its keys.
    pub distance: Option<Distance>,
    /// What was asked for of its attributes, without nulls, by name.
    pub attributes: Vec<(AttributeName, Value)>,
    /// What was found out about it, under the labels of the request.
    pub computed: Vec<(String, Computed)>,
}

/// What was found out about a row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Computed {
    /// A distance or a score.
    Number(Distance),
    /// Whether a condition holds.
    Bool(bool),
}

/// What a query was answered from.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Statistics {
    /// Document versions committed and not indexed, all of them searched.
    pub unindexed_rows: u64,
    /// Documents of the namespace: those indexed and alive, and those not indexed.
    pub namespace_rows: u64,
}

/// Why a query was not answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such namespace.
    #[error("namespace was not found")]
    NoNamespace,
    /// The request does not fit the schema; sending it again will not help.
    #[error(transparent)]
    Invalid(#[from] InvalidQuery),
    /// The store did not answer in time; ask again.
    #[error("the store does not answer; ask again")]
    Unavailable,
    /// The query took longer than it may; ask for less or later.
    #[error("the query took longer than it may; ask for less, or again later")]
    TooLong,
    /// What was found takes more memory than it may.
    #[error(
        "💔 the query needs more than {most} bytes of memory for what it found; ask for fewer rows, \
         attributes or groups"
    )]
    TooLarge {
        /// The most there may be.
        most: usize,
    },
    /// An object the query needs cannot be read; an operator has to look.
    #[error(transparent)]
    Damaged(#[from] BadObject),
    /// An object that an old snapshot named is gone: whoever asked starts over from a fresh one. A
    /// client sees this only if it happens again and again.
    #[error("the index changed under the query again and again; ask again (last missed: {0})")]
    Vanished(Key),
}
