//! Values ⇄ bytes. All bytes are hostile: decoders return errors, they never panic.
//!
//! | module          | what it answers                                                             |
//! |-----------------|-----------------------------------------------------------------------------|
//! | [`layout`]      | What is every object called?                                                |
//! | [`frame`]       | What kind of object is this, and is it intact?                              |
//! | [`head`]        | What does a namespace's register hold?                                      |
//! | [`schema`]      | What attributes does a namespace have?                                      |
//! | [`manifest`]    | What is indexed?                                                            |
//! | [`log`]         | What is committed and not indexed, and what does one commit's batch hold?   |
//! | [`segment`]     | What is where in a segment?                                                 |
//! | [`columns`]     | What values has an attribute?                                               |
//! | [`ids`]         | Where does the document of an id stand?                                     |
//! | [`idempotency`] | Which requests are remembered by their keys?                                |
//! | [`blocks`]      | How do sorted keys with values lie, and how is one found?                   |
//! | [`filter`]      | Is a key certainly not there?                                               |
//! | [`rows`]        | How is a set of rows held and written?                                      |

pub mod blocks;
pub mod columns;
pub mod filter;
pub mod frame;
pub mod head;
pub mod idempotency;
pub mod ids;
pub mod layout;
pub mod log;
pub mod manifest;
mod reader;
pub mod rows;
pub mod schema;
pub mod segment;
