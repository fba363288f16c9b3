//! Values ⇄ bytes. All bytes are hostile: decoders return errors, they never panic.
//!
//! | module       | what it answers                                                             |
//! |--------------|-----------------------------------------------------------------------------|
//! | [`layout`]   | What is every object called?                                                |
//! | [`frame`]    | What kind of object is this, and is it intact?                              |
//! | [`head`]     | What does a namespace's register hold?                                      |
//! | [`schema`]   | What attributes does a namespace have?                                      |
//! | [`manifest`] | What is indexed?                                                            |
//! | [`log`]      | What is committed and not indexed, and what does one commit's batch hold?   |

pub mod frame;
pub mod head;
pub mod layout;
pub mod log;
pub mod manifest;
pub mod schema;
