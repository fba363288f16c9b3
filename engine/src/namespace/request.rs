//! What clients write to a namespace and what they are told, in the words of the engine. What they
//! ask is in [`question`](crate::namespace::question).
//!
//! Whoever speaks a wire protocol translates into these types and back. Nothing here was checked
//! against a schema yet: names may be unknown and values of the wrong type.

use crate::base::cast::CastProblem;
use crate::base::id::CommitId;
use crate::base::name::{AttributeName, BadName};
use crate::base::value::{Id, IdType, Raw, Type};
use crate::format::frame::BadObject;
pub use crate::format::log::WriteOutcome;
use crate::format::schema::Metric;
pub use crate::namespace::question::*;

/// Documents to write, and how. One request is applied whole or not at all.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct WriteRequest {
    /// Documents to put in the place of what is there under their ids. `None` if the request has no
    /// such list, which is told apart from an empty one.
    pub upserts: Option<Vec<RawDocument>>,
    /// Attributes to change in documents that exist. Null clears. Ids that do not exist are passed
    /// over.
    pub patches: Option<Vec<RawDocument>>,
    /// Ids of documents to remove.
    pub deletes: Option<Vec<Raw>>,
    /// What the client says about attributes.
    pub schema: Vec<(AttributeName, AttributeRequest)>,
    /// What the client says about ids.
    pub id_type: Option<IdType>,
    /// How vectors are compared. Needed with the first vector of a namespace.
    pub metric: Option<Metric>,
    /// Whether the namespace may or must be created.
    pub create: Create,
    /// Names the request, so that repeating it has one effect.
    pub idempotency: Option<Idempotency>,
    /// What the document that is there must satisfy for an upsert; where there is none, it is put.
    pub upsert_condition: Option<Predicate>,
    /// What the document that is there must satisfy for a patch.
    pub patch_condition: Option<Predicate>,
    /// What the document that is there must satisfy for a delete; where there is none, none is removed.
    pub delete_condition: Option<Predicate>,
    /// Which documents to remove, before anything else of the request is done.
    pub delete_by_filter: Option<ByFilter>,
    /// Which documents to change and how, after those were removed and before the rest.
    pub patch_by_filter: Option<(ByFilter, Vec<(AttributeName, Raw)>)>,
    /// Attributes to drop from the schema.
    pub drops: Vec<AttributeName>,
    /// Whether documents and schema may be changed from now on; `None` leaves it as it is.
    pub read_only: Option<bool>,
    /// Whether to say which ids were written, changed and removed.
    pub wants_ids: bool,
    /// Whether to write even if indexing is far behind. For upserts and deletes by id alone.
    pub ignores_backlog: bool,
}

/// Documents that a filter selects.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ByFilter {
    /// The filter.
    pub filter: Predicate,
    /// Whether to go as far as the limit if there are more; else the request is refused.
    pub allows_partial: bool,
}

impl WriteRequest {
    /// Whether documents have to be read to decide it.
    pub fn reads_documents(&self) -> bool {
        self.patches.is_some() || self.is_by_filter() || self.is_conditional()
    }

    /// Whether what it does to a document depends on what is there.
    pub fn is_conditional(&self) -> bool {
        self.conditions().next().is_some()
    }

    /// What documents that are there must satisfy.
    pub fn conditions(&self) -> impl Iterator<Item = &Predicate> {
        let all = [&self.upsert_condition, &self.patch_condition, &self.delete_condition];
        all.into_iter().flatten()
    }

    /// Whether a filter has to be evaluated over all documents to decide it.
    pub const fn is_by_filter(&self) -> bool {
        self.delete_by_filter.is_some() || self.patch_by_filter.is_some()
    }

    /// Whether it changes documents or the schema.
    pub fn changes_content(&self) -> bool {
        let lists = [&self.upserts, &self.patches];
        self.is_by_filter()
            || lists.into_iter().any(Option::is_some)
            || self.deletes.is_some()
            || !self.schema.is_empty()
            || !self.drops.is_empty()
            || self.metric.is_some()
            || self.id_type.is_some()
    }
}

/// Whether a write may create its namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Create {
    /// The first document does.
    #[default]
    WithDocuments,
    /// It does even if it writes nothing.
    Always,
    /// It does not.
    Never,
}

/// A document, or changes to one, as a client sent it. Names are in no particular order and distinct.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RawDocument {
    /// Its id.
    pub id: Raw,
    /// Its attributes.
    pub attributes: Vec<(AttributeName, Raw)>,
}

/// What a client says about an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AttributeRequest {
    /// Its type.
    pub value_type: Type,
    /// Whether filters, orders and groups may use it. By default they may, unless it can be matched
    /// with patterns.
    pub filterable: Option<bool>,
    /// Whether filters may match it with globs; by default only if it is filterable.
    pub glob: Option<bool>,
    /// Whether filters may match it with regular expressions; by default they may not.
    pub regex: Option<bool>,
    /// How its vectors are compared; by default as those of the namespace are.
    pub metric: Option<Metric>,
}

impl AttributeRequest {
    /// Says nothing but the type.
    pub const fn of(value_type: Type) -> Self {
        Self { value_type, filterable: None, glob: None, regex: None, metric: None }
    }
}

/// A key that a client chose for a request, and the digest of what it asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Idempotency {
    /// 1 to 256 bytes.
    pub key: String,
    /// 128 bits of a digest of the request's content.
    pub fingerprint: u128,
}

/// Why a write was not acknowledged.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum WriteError {
    /// A value does not fit the schema. Nothing was written; sending it again will not help.
    #[error("invalid value for attribute '{attribute}': {problem}")]
    Rejected {
        /// The attribute; `id` for the id.
        attribute: String,
        /// What is wrong with the value.
        problem: CastProblem,
    },
    /// The request contradicts the schema or itself. Nothing was written; sending it again will not
    /// help.
    #[error(transparent)]
    Invalid(#[from] InvalidWrite),
    /// There is no such namespace, and the request may not create it. Nothing was written.
    #[error("namespace was not found")]
    NoNamespace,
    /// The key was used for another request. Nothing was written; use another key.
    #[error("the idempotency key was used for a request with another content; use a fresh key")]
    KeyReused,
    /// The namespace is read-only. Nothing was written; make it writable first.
    #[error(
        "🔒 the namespace is read-only; set `read_only` to false in its metadata to write to it"
    )]
    ReadOnly,
    /// A condition or a filter does not fit the schema. Nothing was written; sending it again will not
    /// help.
    #[error(transparent)]
    Filter(#[from] InvalidQuery),
    /// A filter took more time than a write may. Nothing was written; filter for less.
    #[error("the filter takes more time than a write may; nothing was written, filter for less")]
    TooMuch,
    /// Indexing is too far behind. Nothing was written; send the same again later.
    #[error(
        "{unindexed_bytes} bytes wait to be indexed, more than the limit of {limit_bytes}; send the request again later"
    )]
    Behind {
        /// Bytes committed and not indexed.
        unindexed_bytes: u64,
        /// The most there may be.
        limit_bytes: u64,
    },
    /// The head would be larger than it may be. Nothing was written; send the same again later, when
    /// more is indexed and what nobody names any more is deleted.
    #[error(
        "the head of the namespace has no room, for it may have {most} bytes; send the request again later"
    )]
    Full {
        /// The most bytes it may have.
        most: usize,
    },
    /// The store did not answer in time, and nothing of the request was sent to be committed.
    /// Nothing was written; send the same again later.
    #[error("the store does not answer; nothing was written, send the request again later")]
    Unavailable,
    /// The store did not say in time what became of the commit. It may be written: send it again
    /// under the same idempotency key, or read before you repeat it.
    #[error(
        "the outcome is unknown: the store did not say in time whether the write happened; repeat it only with an idempotency key, or read first"
    )]
    Unknown {
        /// The commit in question.
        commit: CommitId,
    },
    /// An object that a decision needs cannot be read; an operator has to look. Nothing was written.
    #[error("{0}; nothing was written")]
    Unreadable(BadObject),
    /// The head that would tell what became of the commit cannot be read; an operator has to look. It
    /// may be written or not.
    #[error("{0}; whether the write happened can only be told when that is mended")]
    Damaged(BadObject),
}

/// What is wrong with a write as a whole.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum InvalidWrite {
    /// An attribute exists with another type.
    #[error(
        "🙅 invalid schema update for attribute '{name}': cannot change attribute type from {from} to {to}"
    )]
    TypeChange {
        /// The attribute.
        name: AttributeName,
        /// Its type.
        from: Type,
        /// The type in the request.
        to: Type,
    },
    /// The namespace's ids are of another kind.
    #[error(
        "💔 namespace ID type is {expected}, but you sent {sent}; you are not allowed to mix ID types in the same namespace"
    )]
    IdType {
        /// The kind of the namespace's ids.
        expected: &'static str,
        /// The kind in the request.
        sent: &'static str,
    },
    /// An id is not a UUID though all of the namespace's are.
    #[error("💔 namespace ID type is uuid, but a written ID could not be parsed as uuid")]
    NotUuid,
    /// An id is longer than it may be, or empty.
    #[error("💔 a document id must be 1 to 64 bytes long")]
    IdLength,
    /// An id stands twice in one request.
    #[error("💔 duplicate document ids in one request: {0}")]
    DuplicateId(Id),
    /// Vectors came without a metric.
    #[error("💔 distance_metric must be specified for write to namespace with a vector")]
    NoMetric,
    /// The namespace has another metric.
    #[error("💔 distance metric mismatch, expected {expected}, got {sent}")]
    MetricChange {
        /// The metric of the namespace.
        expected: Metric,
        /// The metric in the request.
        sent: Metric,
    },
    /// A patch names a vector.
    #[error("💔 patching vectors is currently unsupported")]
    PatchedVector,
    /// A filter matches more documents than one request may change.
    #[error(
        "💔 {field} matches more than {most} documents; filter for less, or set {field}_allow_partial"
    )]
    TooManyMatches {
        /// The field of the request.
        field: &'static str,
        /// The most documents there may be.
        most: usize,
    },
    /// The documents that a filter matches take more memory than they may.
    #[error("💔 the documents to be changed take more than {most} bytes; filter for less")]
    MatchesTooLarge {
        /// The most there may be.
        most: usize,
    },
    /// An attribute to be dropped does not exist.
    #[error("💔 attribute \"{0}\" not found in schema, cannot be dropped")]
    UnknownDrop(AttributeName),
    /// There would be more attributes than there may be.
    #[error("💔 a namespace has at most {most} attributes{}", if *.vectors { " of a vector type" } else { "" })]
    TooManyAttributes {
        /// The most there may be.
        most: usize,
        /// Whether it is about vector attributes only.
        vectors: bool,
    },
    /// A vector type has no or too many dimensions.
    #[error("💔 a vector attribute has 1 to {most} dimensions")]
    Dimensions {
        /// The most there may be.
        most: u32,
    },
    /// A document is larger than it may be.
    #[error("💔 a document is larger than {most} bytes")]
    DocumentTooLarge {
        /// The most bytes there may be.
        most: usize,
    },
    /// A value is larger than it may be.
    #[error("💔 a value of attribute '{attribute}' is larger than {most} bytes{}", if *.filterable { "; make the attribute not filterable to store longer ones" } else { "" })]
    ValueTooLarge {
        /// The attribute.
        attribute: AttributeName,
        /// The most bytes it may have.
        most: usize,
        /// Whether the bound is the one for values that filters look at.
        filterable: bool,
    },
    /// The type of an attribute cannot be told from its values.
    #[error("💔 the type of attribute '{0}' cannot be inferred; name it in the schema")]
    NotInferred(AttributeName),
    /// A namespace is to be created empty, without saying what its ids are.
    #[error("💔 creating an empty namespace needs the type of `id` in the schema")]
    NoIdType,
    /// A type has no use for an option.
    #[error("💔 attribute '{name}' of type {value_type} cannot be {option}")]
    Option {
        /// The attribute.
        name: AttributeName,
        /// Its type.
        value_type: Type,
        /// What it cannot be.
        option: &'static str,
    },
}

/// A name that a client sent is none.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("'{name}': {problem}")]
pub struct InvalidName {
    /// What was sent.
    pub name: String,
    /// What is wrong with it.
    pub problem: BadName,
}
