//! The book as text for other programs, streamed page by page in order of transaction id.

mod beancount;
mod hledger;
mod journal;
mod jsonl;
mod table;

pub use beancount::beancount;
pub use hledger::hledger;
pub use journal::{JournalEntry, JournalTransaction, Slice, each_transaction};
pub use jsonl::jsonl;
pub use table::csv;
