//! The rooms together in one process: a real master with a real store and configuration, and a worker that
//! does what the test says, over a connection in memory.

mod crash;
mod evaluators;
mod gerrit;
mod history;
mod hooks;
mod house;
mod outbox;
mod poll;
mod pulls;
mod reload;
mod rights;
mod statuses;
mod stop;
mod trouble;
mod worker;
