//! The web: the API against recorded answers of the field, control, hooks, workers, pages.

mod api;
mod artifacts;
mod audit;
mod browser;
mod connections;
mod control;
mod filled;
mod fuzz;
mod login;
mod login_elsewhere;
mod logs;
mod pages;
mod projects;
mod query;
mod recorded;
mod reference;
mod rights;
mod served;
mod world;
