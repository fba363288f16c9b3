//! What a client is told when it does not get what it asked for.
//!
//! The rule of the wire: 422 is about the shape of a body, 400 about its meaning. Official clients
//! repeat 408, 409, 429 and everything from 500 on, so a permanent fault never has one of these
//! without the header `x-should-retry: false`.

use bytes::Bytes;
use hyper::StatusCode;
use sana_engine::base::limits;
use sana_engine::base::name::{BadName, NamespaceName};
use sana_engine::namespace::request::{InvalidWrite, QueryError, WriteError};
use serde_json::json;

/// An answer that is an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// Its status.
    pub(crate) status: StatusCode,
    /// What the client may do about it, in words.
    pub(crate) message: String,
    /// The attribute it is about, where clients look for one.
    pub(crate) attribute: Option<String>,
    /// Whether the body is the bare message: failures before a body was looked at.
    pub(crate) plain: bool,
    /// Whether to repeat the request, where the status alone would say it wrong.
    pub(crate) retry: Retry,
    /// What is known of what became of it.
    pub(crate) outcome: Outcome,
}

/// What is known of what became of a request, where the status alone does not tell. It goes with the
/// response as an extension, for those who ask in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// What the status says.
    AsStatus,
    /// It met an object that is damaged.
    Damaged,
    /// It was given up half-way. If it was a write, nobody knows whether it happened.
    GivenUp,
    /// It was a write, and nobody knows whether it happened.
    Unknown,
}

/// What a failure says about repeating the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Retry {
    /// What the status says.
    AsStatus,
    /// Never.
    No,
    /// After so many seconds.
    After(u32),
}

impl Failure {
    /// A failure of this status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let (attribute, plain, retry) = (None, false, Retry::AsStatus);
        Self {
            status,
            message: message.into(),
            attribute,
            plain,
            retry,
            outcome: Outcome::AsStatus,
        }
    }

    /// The body is JSON and says something that cannot be.
    pub(crate) fn meaning(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The body is JSON of the wrong shape. `what` names the place and the problem.
    pub(crate) fn shape(what: impl core::fmt::Display) -> Self {
        let message = format!("Failed to deserialize the JSON body into the target type: {what}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// The request asks for something that turbopuffer can do and Sana cannot yet.
    pub(crate) fn unsupported(feature: &str) -> Self {
        Self::meaning(format!("💔 {feature} is not supported by this version of Sana"))
    }

    /// The request asks for something that only a hosted service can do.
    pub(crate) fn hosted(feature: &str) -> Self {
        Self::meaning(format!("💔 {feature} needs a hosted service, which Sana is not"))
    }

    /// The request cannot be understood before its body is looked at.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { plain: true, ..Self::meaning(message) }
    }

    /// There is no such namespace.
    pub(crate) fn no_namespace(name: &NamespaceName) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("🤷 namespace '{name}' was not found"))
    }

    /// The path names no namespace that could be.
    pub(crate) fn bad_namespace(name: &str, problem: BadName) -> Self {
        Self::plain(match problem {
            BadName::Empty => "Invalid URL: Namespace is empty".to_owned(),
            BadName::TooLong { most } => format!(
                "Invalid URL: Namespace `{name}` is too long, limit is currently {most} characters"
            ),
            BadName::Characters => {
                "Invalid URL: Namespace contains invalid characters, must be [A-Za-z0-9-_.]"
                    .to_owned()
            }
        })
    }

    /// A body names an attribute that could not be.
    pub(crate) fn bad_attribute(name: &str, problem: BadName) -> Self {
        Self::meaning(match problem {
            BadName::Empty => "💔 attribute names must not be empty".to_owned(),
            BadName::TooLong { most } => {
                let beginning: String = name.chars().take(32).collect();
                format!("💔 attribute name '{beginning}…' is longer than {most} bytes")
            }
            BadName::Characters if name == "id" => {
                "💔 `id` cannot be used as an attribute here".to_owned()
            }
            BadName::Characters => format!("💔 attribute name '{name}' must not start with `$`"),
        })
    }

    /// Something in this server broke. Whether a write happened is not known.
    pub(crate) fn broken() -> Self {
        let message = "internal error: the request was given up; if it was a write, read before \
                       you repeat it without an idempotency key";
        let failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, message);
        Self { retry: Retry::No, outcome: Outcome::GivenUp, ..failure }
    }

    /// Why a write was not acknowledged. `has_key` says whether repeating it has one effect.
    pub(crate) fn of_write(name: &NamespaceName, error: &WriteError, has_key: bool) -> Self {
        let text = error.to_string();
        match error {
            WriteError::Rejected { attribute, .. } => {
                Self { attribute: Some(attribute.clone()), ..Self::meaning(format!("💔 {text}")) }
            }
            WriteError::Invalid(InvalidWrite::TypeChange { name, .. }) => {
                Self { attribute: Some(name.as_str().to_owned()), ..Self::meaning(text) }
            }
            WriteError::Invalid(_) | WriteError::Filter(_) => Self::meaning(text),
            WriteError::ReadOnly => Self::new(StatusCode::FORBIDDEN, text),
            WriteError::TooMuch => {
                Self { retry: Retry::No, ..Self::new(StatusCode::GATEWAY_TIMEOUT, text) }
            }
            WriteError::NoNamespace => Self::no_namespace(name),
            WriteError::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, text),
            WriteError::Behind { .. } | WriteError::Full { .. } => {
                Self { retry: Retry::After(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, text) }
            }
            WriteError::Unavailable => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
            WriteError::Unknown { .. } => {
                let retry = if has_key { Retry::AsStatus } else { Retry::No };
                let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, text);
                Self { retry, outcome: Outcome::Unknown, ..failure }
            }
            WriteError::Damaged(_) | WriteError::Unreadable(_) => Self::damaged(text),
        }
    }

    /// Why a query was not answered.
    pub(crate) fn of_query(name: &NamespaceName, error: &QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::NoNamespace => Self::no_namespace(name),
            QueryError::Invalid(_) | QueryError::TooLarge { .. } => Self::meaning(text),
            QueryError::Unavailable | QueryError::Vanished(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            QueryError::TooLong => {
                Self { retry: Retry::No, ..Self::new(StatusCode::GATEWAY_TIMEOUT, text) }
            }
            QueryError::Damaged(_) => Self::damaged(text),
        }
    }

    /// An object is damaged, and the text names it.
    pub(crate) fn damaged(text: String) -> Self {
        let failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, text);
        Self { retry: Retry::No, outcome: Outcome::Damaged, ..failure }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Bytes {
        if self.plain {
            return Bytes::from(self.message.clone());
        }
        let mut body = json!({"status": "error", "error": self.message});
        if let Some(attribute) = &self.attribute {
            body["attribute"] = json!(attribute);
        }
        Bytes::from(body.to_string())
    }
}

/// The sentence for a limit outside its range.
pub(crate) fn out_of_range(field: &str) -> Failure {
    Failure::meaning(format!("💔 {field} must be between 1 and {}", limits::QUERY_ROWS_MAX))
}

#[cfg(test)]
mod tests {
    use sana_engine::base::id::CommitId;

    use super::*;

    #[test]
    fn an_unknown_outcome_is_repeated_only_under_an_idempotency_key() {
        let name = NamespaceName::parse("a").unwrap();
        let error = WriteError::Unknown { commit: CommitId::default() };
        let of = |key| Failure::of_write(&name, &error, key);
        assert_eq!((of(false).status.as_u16(), of(false).retry), (503, Retry::No));
        assert_eq!((of(true).status.as_u16(), of(true).retry), (503, Retry::AsStatus));
        assert_eq!((of(false).outcome, of(true).outcome), (Outcome::Unknown, Outcome::Unknown));
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let name = NamespaceName::parse("docs").unwrap();
        let failure = Failure::of_query(&name, &QueryError::NoNamespace);
        assert_eq!(failure.status, StatusCode::NOT_FOUND);
        let body = String::from_utf8(failure.body().to_vec()).unwrap();
        assert_eq!(body, r#"{"error":"🤷 namespace 'docs' was not found","status":"error"}"#);
    }
}
