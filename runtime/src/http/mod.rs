//! The HTTP interface.
mod documents;
mod errors;
mod filter;
mod json;
mod query;
mod rank;
mod schema;
mod write;
