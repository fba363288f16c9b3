//! From request to answer.
//!
//! # Invariants
//!
//! - **A1** Whoever has no key makes the server read no body.
//! - **A2** What a request takes, memory for its body and slots, it has until its work is done: a
//!   client that hangs up and asks again does not get more than one that waits.

use core::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER,
};
use hyper::{Request, Response, StatusCode};
use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::{Head, Live};
use sana_engine::namespace::request::{self, Create, QueryError, QueryRequest, WriteRequest};
use sana_engine::ops::delete::DeleteError;
use tokio::time::Instant;

use super::errors::{Failure, Outcome, Retry};
use super::path::{Route, Verb};
use super::query::Performance;
use super::tree::Fields;
use super::{Server, body, explain, json, metadata, namespaces, query, recall, schema, write};
use crate::compute::Crashed;
use crate::node::{Given, Memory};
use crate::outliving::Outliving;

/// An answer that is none of the failures.
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

/// A request that was read.
struct Asked {
    headers: HeaderMap,
    query: Option<String>,
    body: body::Held,
    began: Instant,
}

/// Bodies up to this size are parsed where they are; larger ones would hold up others.
const PARSE_HERE_BYTES_MAX: usize = 32 << 10;

impl Answer {
    const fn json(body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", body }
    }

    const fn text(body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: "text/plain; charset=utf-8", body }
    }
}

impl Server {
    /// Answers one request, wherever it comes from.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        request: Request<B>,
    ) -> Result<Response<Bytes>, core::convert::Infallible>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let began = Instant::now();
        let route = Route::parse(request.method(), request.uri().path());
        let name = route.as_ref().map_or("none", Route::name);
        let headers = request.headers().clone();
        let answered = match route {
            Ok(route) => self.received(route, request, began).await,
            Err(failure) => Err(failure),
        };
        let response = self.response(&headers, answered).await;
        self.metrics.request(name, response.status().as_u16(), began.elapsed());
        Ok(response)
    }

    /// Whether the request has the key it needs. Where none is needed, whoever reaches the server may do
    /// anything, and every web page that a person here looks at reaches it: browsers say so.
    fn admit(&self, route: &Route, headers: &HeaderMap) -> Result<(), Failure> {
        let key = match &self.api_key {
            _ if route.is_open() => return Ok(()),
            Some(key) => key,
            None if !headers.contains_key(ORIGIN) => return Ok(()),
            None => {
                let message =
                    "web pages may only ask a server that has an API key: start it with one";
                return Err(Failure::new(StatusCode::UNAUTHORIZED, message));
            }
        };
        let sent = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let token = sent.strip_prefix(b"Bearer ").or_else(|| sent.strip_prefix(b"bearer "));
        if token.is_some_and(|token| equal(token, key.as_bytes())) {
            return Ok(());
        }
        let message = "invalid or missing API key: send the header `Authorization: Bearer <key>`";
        Err(Failure::new(StatusCode::UNAUTHORIZED, message))
    }

    /// Reads the body and does the work, which goes on if the client hangs up (A2).
    async fn received<B>(
        self: &Arc<Self>,
        route: Route,
        request: Request<B>,
        began: Instant,
    ) -> Result<Answer, Failure>
    where
        B: Body<Data = Bytes, Error: Display> + Unpin,
    {
        let query = request.uri().query().map(str::to_owned);
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        self.admit(&route, &headers)?;
        let body = match route.body_bytes_max() {
            Some(most) => self.budget.read(&headers, body, most, self.node.foreground()).await?,
            None => body::Held::nothing(),
        };
        let asked = Asked { headers, query, body, began };
        let (server, writes) = (Arc::clone(self), route.writes());
        let work = Outliving::new(async move { server.dispatch(route, asked).await });
        let answered = work.await.unwrap_or_else(|Crashed| Err(Failure::broken()));
        answered.map_err(|failure| match failure.outcome {
            Outcome::GivenUp if writes => Failure { outcome: Outcome::Unknown, ..failure },
            _ => failure,
        })
    }

    async fn dispatch(&self, route: Route, asked: Asked) -> Result<Answer, Failure> {
        match route {
            Route::Live => Ok(Answer::text(Bytes::from_static(b"ok\n"))),
            Route::Ready => self.ready().await,
            Route::Metrics => self.metrics_page(),
            Route::Namespaces => self.namespaces(&asked).await,
            Route::Namespace(name, verb) => match verb {
                Verb::Write => self.write(&name, asked).await,
                Verb::Query => self.query(&name, &asked).await,
                Verb::Explain => self.explain(&name, &asked).await,
                Verb::Delete => self.delete(&name).await,
                Verb::Metadata => self.metadata(&name).await,
                Verb::UpdateMetadata => self.update_metadata(&name, &asked).await,
                Verb::Schema => self.schema(&name).await,
                Verb::UpdateSchema => self.update_schema(&name, &asked).await,
                Verb::Warm => self.warm(&name).await,
                Verb::Purge => self.purge(&name).await,
                Verb::Recall => self.recall(&name, &asked).await,
            },
        }
    }

    /// Whether the store answers.
    async fn ready(&self) -> Result<Answer, Failure> {
        let reached = self.node.reach().await;
        reached
            .map(|()| Answer::text(Bytes::from_static(b"ok\n")))
            .map_err(|error| Failure::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    }

    fn metrics_page(&self) -> Result<Answer, Failure> {
        let page = self.metrics.page(&self.node).map_err(|_| Failure::broken())?;
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        Ok(Answer { status: StatusCode::OK, content_type, body: page.into() })
    }

    async fn namespaces(&self, asked: &Asked) -> Result<Answer, Failure> {
        let page = namespaces::parse(asked.query.as_deref())?;
        let page = self.node.list(&page.prefix, page.after.as_ref(), page.limit).await;
        page.map(|page| Answer::json(namespaces::answer(&page)))
            .map_err(|error| Failure::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    }

    async fn write(&self, name: &NamespaceName, asked: Asked) -> Result<Answer, Failure> {
        let key = asked.headers.get("idempotency-key").map(HeaderValue::as_bytes);
        let key = key.map(write::idempotency_key).transpose()?;
        let (has_key, bytes) = (key.is_some(), asked.body.bytes.len());
        let body = asked.body.bytes.clone();
        let request = self.parsed(bytes, move || write::parse(&body, key)).await??;
        let reads = request.is_conditional() || request.is_by_filter();
        let outcome = self.node.write(name, request, bytes).await;
        let outcome = outcome
            .map_err(|Crashed| Failure::broken())?
            .map_err(|error| Failure::of_write(name, &error, has_key))?;
        Ok(Answer::json(write::answer(&outcome, reads, milliseconds(asked.began))))
    }

    async fn query(&self, name: &NamespaceName, asked: &Asked) -> Result<Answer, Failure> {
        let body = asked.body.bytes.clone();
        let parsed = self.parsed(body.len(), move || query::parse(&body)).await??;
        let _slots = self.slots.take(name, parsed.slots).await?;
        let executed = Instant::now();
        let found = match parsed.memory {
            Memory::Used => self.node.query(name, parsed.request.clone()).await,
            Memory::Unused => self.node.query_cold(name, parsed.request.clone()).await,
        };
        let (found, reads) = answered(name, found)?;
        let performance = Performance {
            total_ms: milliseconds(asked.began),
            execution_ms: milliseconds(executed),
            hits: reads.hits,
            misses: reads.misses,
        };
        let bytes = query::bytes_hint(&found.found);
        let print = move || query::answer(&parsed, &found, performance);
        Ok(Answer::json(self.parsed(bytes, print).await?))
    }

    async fn explain(&self, name: &NamespaceName, asked: &Asked) -> Result<Answer, Failure> {
        let body = asked.body.bytes.clone();
        let query = self.parsed(body.len(), move || query::parse(&body)).await??;
        let head = self.head(name).await?;
        explain::answer(name, &query.request, &head).map(Answer::json)
    }

    async fn delete(&self, name: &NamespaceName) -> Result<Answer, Failure> {
        let deleted = self.node.delete(name).await.map_err(|Crashed| Failure::broken())?;
        match deleted {
            Ok(true) => Ok(Answer::json(Bytes::from_static(b"{\"status\":\"OK\"}"))),
            Ok(false) => Err(Failure::no_namespace(name)),
            Err(error @ DeleteError::Damaged(_)) => Err(Failure::damaged(error.to_string())),
            // To delete twice is harmless, so clients may repeat it.
            Err(error @ (DeleteError::Unavailable | DeleteError::Unknown)) => {
                Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
            }
        }
    }

    async fn metadata(&self, name: &NamespaceName) -> Result<Answer, Failure> {
        let head = self.head(name).await?;
        Ok(Answer::json(metadata::answer(live(&head, name)?)))
    }

    async fn update_metadata(
        &self,
        name: &NamespaceName,
        asked: &Asked,
    ) -> Result<Answer, Failure> {
        let (body, bytes) = (asked.body.bytes.clone(), asked.body.bytes.len());
        let request = self.parsed(bytes, move || metadata::parse(&body)).await??;
        let outcome = self.node.write(name, request, bytes).await;
        outcome
            .map_err(|Crashed| Failure::broken())?
            .map_err(|error| Failure::of_write(name, &error, false))?;
        self.metadata(name).await
    }

    async fn schema(&self, name: &NamespaceName) -> Result<Answer, Failure> {
        let head = self.head(name).await?;
        Ok(Answer::json(schema::answer(&live(&head, name)?.schema)))
    }

    async fn update_schema(&self, name: &NamespaceName, asked: &Asked) -> Result<Answer, Failure> {
        let (body, bytes) = (asked.body.bytes.clone(), asked.body.bytes.len());
        let parse = move || json::parse(&body).and_then(|Fields(entries)| schema::parse(entries));
        let said = self.parsed(bytes, parse).await??;
        let request = WriteRequest {
            schema: said.attributes,
            drops: said.drops,
            id_type: said.id_type,
            create: Create::Never,
            ..WriteRequest::default()
        };
        let outcome = self.node.write(name, request, bytes).await;
        outcome
            .map_err(|Crashed| Failure::broken())?
            .map_err(|error| Failure::of_write(name, &error, false))?;
        self.schema(name).await
    }

    /// Takes the hint: what a query needs first is loaded, and stays as long as there is room.
    async fn warm(&self, name: &NamespaceName) -> Result<Answer, Failure> {
        let first = request::Rank::By(Vec::new());
        let want = request::Want::rows(first, 1, request::Include::Nothing);
        let consistency = request::Consistency::Strong;
        let request = QueryRequest { filter: None, want, consistency };
        let _slots = self.slots.take(name, 1).await?;
        answered(name, self.node.query(name, request).await)?;
        let body = serde_json::json!({"status": "ACCEPTED", "message": "cache warm hint accepted"});
        let body = Bytes::from(body.to_string());
        Ok(Answer { status: StatusCode::ACCEPTED, ..Answer::json(body) })
    }

    /// Forgets all of a namespace that can be read again.
    async fn purge(&self, name: &NamespaceName) -> Result<Answer, Failure> {
        answered(name, self.node.purge(name).await)?;
        let body = serde_json::json!({"status": "OK", "message": "cache purged"});
        Ok(Answer::json(Bytes::from(body.to_string())))
    }

    async fn recall(&self, name: &NamespaceName, asked: &Asked) -> Result<Answer, Failure> {
        let body = asked.body.bytes.clone();
        let measure = self.parsed(body.len(), move || recall::parse(&body)).await??;
        let _slots = self.slots.take(name, query::EXACT_SLOTS).await?;
        let measured = answered(name, measure.on(&self.node, name).await)?;
        Ok(Answer::json(self.parsed(measured.bytes(), move || measured.answer()).await?))
    }

    async fn head(&self, name: &NamespaceName) -> Result<Arc<Head>, Failure> {
        answered(name, self.node.describe(name).await)
    }

    /// Does something to a body or an answer of so many bytes, apart from others if that takes long.
    async fn parsed<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if bytes <= PARSE_HERE_BYTES_MAX {
            return Ok(job());
        }
        self.node.foreground().run(job).await.map_err(|Crashed| Failure::broken())
    }

    /// The response of an answer or a failure.
    async fn response(
        &self,
        headers: &HeaderMap,
        answered: Result<Answer, Failure>,
    ) -> Response<Bytes> {
        let (answer, retry, outcome) = match answered {
            Ok(answer) => (answer, Retry::AsStatus, Outcome::AsStatus),
            Err(failure) => {
                if failure.status.is_server_error() {
                    tracing::warn!(status = failure.status.as_u16(), "{}", failure.message);
                }
                let (status, body) = (failure.status, failure.body());
                let answer = if failure.plain { Answer::text(body) } else { Answer::json(body) };
                (Answer { status, ..answer }, failure.retry, failure.outcome)
            }
        };
        let (body, accepts_gzip) = (answer.body.clone(), body::accepts_gzip(headers));
        let encode = move || body::encoded(accepts_gzip, body);
        let encoded = self.parsed(answer.body.len(), encode).await;
        let (body, is_compressed) = encoded.unwrap_or((answer.body, false));
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        response.extensions_mut().insert(outcome);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        match retry {
            Retry::AsStatus => {}
            Retry::No => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
            Retry::After(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }
}

/// What a namespace was asked, or why there is no answer.
fn answered<T>(name: &NamespaceName, given: Given<T, QueryError>) -> Result<T, Failure> {
    let answered = given.map_err(|Crashed| Failure::broken())?;
    answered.map_err(|error| Failure::of_query(name, &error))
}

fn live<'a>(head: &'a Head, name: &NamespaceName) -> Result<&'a Live, Failure> {
    head.live().ok_or_else(|| Failure::no_namespace(name))
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// Milliseconds since then, rounded up.
fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
