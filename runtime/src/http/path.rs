//! Paths and their parameters: what a request is about, before its body is looked at.

use hyper::Method;
use sana_engine::base::name::NamespaceName;

use super::body::SMALL_BYTES_MAX;
use super::errors::Failure;

/// What a request asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Whether the process is there.
    Live,
    /// Whether it answers.
    Ready,
    /// Figures for those who operate it.
    Metrics,
    /// Which namespaces there are.
    Namespaces,
    /// Something of one namespace.
    Namespace(NamespaceName, Verb),
}

/// What is asked of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Write documents.
    Write,
    /// Find documents.
    Query,
    /// Say how they would be found.
    Explain,
    /// End it.
    Delete,
    /// Say what it is.
    Metadata,
    /// Change what it is.
    UpdateMetadata,
    /// Show its schema.
    Schema,
    /// Change its schema.
    UpdateSchema,
    /// Get ready for queries.
    Warm,
    /// Forget what is in memory.
    Purge,
    /// Compare answers with exact ones.
    Recall,
}

impl Route {
    /// The route of a method and a path.
    ///
    /// # Errors
    ///
    /// 404 if there is none, 405 if it has other methods, 400 if the namespace has no name that could
    /// be or the route is not supported.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let probe = match parts.as_slice() {
            ["livez"] => Some(Self::Live),
            ["readyz"] => Some(Self::Ready),
            ["metrics"] => Some(Self::Metrics),
            _ => None,
        };
        if let Some(probe) = probe {
            return only(method, &Method::GET, probe);
        }
        // Clients that insist on a region put it before the version.
        let parts = match parts.as_slice() {
            ["v1" | "v2", ..] => &parts[..],
            [_, rest @ ..] => rest,
            [] => &[],
        };
        match parts {
            ["v1" | "v2", "namespaces"] => only(method, &Method::GET, Self::Namespaces),
            [version @ ("v1" | "v2"), "namespaces", name, rest @ ..] => {
                let name = decoded(name, Plus::Itself)?;
                let name = NamespaceName::parse(&name)
                    .map_err(|problem| Failure::bad_namespace(&name, problem))?;
                let verb = Verb::parse(method, version, rest)?;
                Ok(Self::Namespace(name, verb))
            }
            _ => Err(not_found(method, path)),
        }
    }

    /// Its name in metrics.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Live => "livez",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
            Self::Namespaces => "namespaces",
            Self::Namespace(_, Verb::Write) => "write",
            Self::Namespace(_, Verb::Query) => "query",
            Self::Namespace(_, Verb::Explain) => "explain_query",
            Self::Namespace(_, Verb::Delete) => "delete",
            Self::Namespace(_, Verb::Metadata) => "metadata",
            Self::Namespace(_, Verb::UpdateMetadata) => "update_metadata",
            Self::Namespace(_, Verb::Schema) => "schema",
            Self::Namespace(_, Verb::UpdateSchema) => "update_schema",
            Self::Namespace(_, Verb::Warm) => "hint_cache_warm",
            Self::Namespace(_, Verb::Purge) => "purge_cache",
            Self::Namespace(_, Verb::Recall) => "recall",
        }
    }

    /// How large its body may be; `None` if what it asks for needs none, and none is read.
    pub(super) const fn body_bytes_max(&self) -> Option<usize> {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Namespaces => None,
            Self::Namespace(_, verb) => match verb {
                Verb::Delete | Verb::Metadata | Verb::Schema | Verb::Warm | Verb::Purge => None,
                Verb::Write => Some(usize::MAX),
                Verb::Query
                | Verb::Explain
                | Verb::Recall
                | Verb::UpdateMetadata
                | Verb::UpdateSchema => Some(SMALL_BYTES_MAX),
            },
        }
    }

    /// Whether it changes something.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Namespaces => false,
            Self::Namespace(_, verb) => matches!(
                verb,
                Verb::Write | Verb::Delete | Verb::UpdateMetadata | Verb::UpdateSchema
            ),
        }
    }

    /// Whether it is answered without an API key: what a supervisor asks.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Live | Self::Ready)
    }
}

impl Verb {
    fn parse(method: &Method, version: &str, rest: &[&str]) -> Result<Self, Failure> {
        let verb = match (method.as_str(), version, rest) {
            ("POST", "v2", []) => Self::Write,
            ("DELETE", _, []) => Self::Delete,
            ("POST", "v2", ["query"]) => Self::Query,
            ("POST", "v2", ["explain_query"]) => Self::Explain,
            ("GET", _, ["metadata"]) => Self::Metadata,
            ("PATCH", _, ["metadata"]) => Self::UpdateMetadata,
            ("GET", _, ["schema"]) => Self::Schema,
            ("POST", _, ["schema"]) => Self::UpdateSchema,
            ("GET", _, ["hint_cache_warm"]) => Self::Warm,
            ("GET", _, ["_debug", "purge_cache"]) => Self::Purge,
            ("POST", _, ["_debug", "recall"]) => Self::Recall,
            ("POST", _, ["async"]) | ("GET", _, ["operations", _]) => {
                return Err(Failure::unsupported("copying namespaces"));
            }
            ("GET", _, ["_debug", "warm_cache"]) => {
                return Err(Failure::unsupported("waiting until everything is in the cache"));
            }
            ("GET" | "HEAD" | "POST", "v1", [] | ["query"]) => {
                return Err(Failure::unsupported("the API of version 1 for documents"));
            }
            _ => return Err(not_found(method, &format!("…/{}", rest.join("/")))),
        };
        Ok(verb)
    }
}

fn only(method: &Method, allowed: &Method, route: Route) -> Result<Route, Failure> {
    if method == allowed || (method == Method::HEAD && allowed == Method::GET) {
        return Ok(route);
    }
    let message = format!("{} takes {allowed}, not {method}", route.name());
    Err(Failure::new(hyper::StatusCode::METHOD_NOT_ALLOWED, message))
}

fn not_found(method: &Method, path: &str) -> Failure {
    let message = format!("there is no {method} {path}; see the README for what there is");
    Failure::new(hyper::StatusCode::NOT_FOUND, message)
}

/// What a plus stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plus {
    Itself,
    Space,
}

/// A part of a URL without its percent signs.
fn decoded(text: &str, plus: Plus) -> Result<String, Failure> {
    let bad = || {
        Failure::plain(
            "Invalid URL: a percent sign is not followed by two digits, or what it spells is not UTF-8",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (high, low) = (high.ok_or_else(bad)?, low.ok_or_else(bad)?);
                (high << 4 | low) as u8
            }
            b'+' if plus == Plus::Space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// The value of a parameter, the first if there are several.
///
/// # Errors
///
/// 400 if it cannot be decoded.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, Failure> {
    for pair in query.unwrap_or("").split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(key, Plus::Space)? == name {
            return decoded(value, Plus::Space).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, path: &str) -> Result<Route, u16> {
        Route::parse(method, path).map_err(|failure| failure.status.as_u16())
    }

    fn of(name: &str, verb: Verb) -> Route {
        Route::Namespace(NamespaceName::parse(name).unwrap(), verb)
    }

    #[test]
    fn every_endpoint_is_found_with_and_without_a_region() {
        for region in ["", "/gcp-us-central1"] {
            let at = |method: &Method, path: &str| route(method, &format!("{region}{path}"));
            let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
            assert_eq!(at(get, "/v1/namespaces"), Ok(Route::Namespaces));
            assert_eq!(at(post, "/v2/namespaces/a"), Ok(of("a", Verb::Write)));
            assert_eq!(at(post, "/v2/namespaces/a/query"), Ok(of("a", Verb::Query)));
            assert_eq!(at(post, "/v2/namespaces/a/explain_query"), Ok(of("a", Verb::Explain)));
            assert_eq!(at(delete, "/v1/namespaces/a"), Ok(of("a", Verb::Delete)));
            assert_eq!(at(delete, "/v2/namespaces/a"), Ok(of("a", Verb::Delete)));
            assert_eq!(at(get, "/v1/namespaces/a/metadata"), Ok(of("a", Verb::Metadata)));
            assert_eq!(at(get, "/v2/namespaces/a/metadata"), Ok(of("a", Verb::Metadata)));
            assert_eq!(at(get, "/v1/namespaces/a/schema"), Ok(of("a", Verb::Schema)));
            assert_eq!(at(post, "/v1/namespaces/a/schema"), Ok(of("a", Verb::UpdateSchema)));
            assert_eq!(at(get, "/v1/namespaces/a/hint_cache_warm"), Ok(of("a", Verb::Warm)));
            assert_eq!(at(get, "/v1/namespaces/a/_debug/purge_cache"), Ok(of("a", Verb::Purge)));
            assert_eq!(at(post, "/v1/namespaces/a/_debug/recall"), Ok(of("a", Verb::Recall)));
        }
        assert_eq!(route(&Method::GET, "/livez"), Ok(Route::Live));
        assert_eq!(route(&Method::GET, "/metrics"), Ok(Route::Metrics));
    }

    #[test]
    fn a_namespace_is_decoded_before_it_is_judged() {
        assert_eq!(route(&Method::POST, "/v2/namespaces/a%2Eb"), Ok(of("a.b", Verb::Write)));
        for bad in
            ["a%20b", "a%2Fb", "a+b", "%C3%A4", "%", "%4", "%zz", "%ff", "", &"a".repeat(129)]
        {
            let failure =
                Route::parse(&Method::POST, &format!("/v2/namespaces/{bad}")).unwrap_err();
            assert_eq!(failure.status.as_u16(), 400, "{bad}");
            assert!(failure.plain && failure.message.starts_with("Invalid URL: "), "{failure:?}");
        }
        for dots in [".", ".."] {
            let path = format!("/v2/namespaces/{dots}");
            assert_eq!(route(&Method::POST, &path), Ok(of(dots, Verb::Write)));
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        for path in ["/", "", "/v3/namespaces", "/v2/namespaces/a/b", "/a/b/v2/namespaces/x"] {
            assert_eq!(route(&Method::GET, path), Err(404), "{path}");
        }
        assert_eq!(route(&Method::POST, "/v1/namespaces"), Err(405));
        let later = [
            (Method::POST, "/v2/namespaces/a/async"),
            (Method::GET, "/v1/namespaces/a"),
            (Method::GET, "/v1/namespaces/a/_debug/warm_cache"),
        ];
        for (method, path) in later {
            let failure = Route::parse(&method, path).unwrap_err();
            assert!(failure.message.contains("not supported"), "{failure:?}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Some("page_size=2&prefix=a%2Bb+c&cursor=Yg%3D%3D&flag");
        let get = |name| parameter(query, name).unwrap();
        assert_eq!(get("page_size").as_deref(), Some("2"));
        assert_eq!(get("prefix").as_deref(), Some("a+b c"));
        assert_eq!(get("cursor").as_deref(), Some("Yg=="));
        assert_eq!(get("flag").as_deref(), Some(""));
        assert_eq!(get("none"), None);
        assert!(parameter(Some("a=%"), "a").is_err());
    }
}
