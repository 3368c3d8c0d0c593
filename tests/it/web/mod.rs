//! The web: the API against recorded answers of the field, control, hooks, workers, pages.

mod api;
mod connections;
mod control;
mod filled;
mod logs;
mod pages;
mod query;
mod recorded;
mod served;
mod world;
