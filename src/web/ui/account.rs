//! `/account`: one's own password, logins and tokens; `/users`: the users and tokens of the master, for administrators.
//!
//! What is changed is looked at again where it is kept; whether somebody may is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use warp::http::StatusCode;
use warp::reply::Response;

use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Moment, capital};
use crate::auth::{Doer, NewToken, NewUser, PasswordError, TokenError, TokenRecord, UserError, UserRecord};
use crate::base::{Span, chain};
use crate::model::{ANYONE, AUTHENTICATED, Action, OWNER, Object};
use crate::web::cookies;
use crate::web::request::{Request, encode, pairs};
use crate::web::respond::see_other;
use crate::web::shared::Shared;

/// The longest a token that is made here may last; the command line makes others.
const TOKEN_DAYS_MAX: u64 = 366;
/// How long one lasts if nothing is said.
const TOKEN_DAYS: u64 = 90;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    frame: PageFrame,
    name: String,
    full_name: String,
    roles: String,
    keeps_password: bool,
    done: &'static str,
    problem: String,
    logins: Vec<LoginRow>,
    tokens: Vec<TokenRow>,
    actions: Vec<&'static str>,
    token_days: u64,
    is_admin: bool,
}

struct LoginRow {
    id: String,
    way: String,
    created: Moment,
    used: Moment,
    is_this: bool,
}

struct TokenRow {
    name: String,
    href: String,
    user: String,
    scopes: String,
    builders: String,
    created: Moment,
    expires: Option<Moment>,
}

#[derive(Template)]
#[template(path = "users.html")]
struct AllUsers {
    frame: PageFrame,
    is_local: bool,
    done: &'static str,
    problem: String,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
}

struct UserRow {
    name: String,
    href: String,
    full_name: String,
    mail: String,
    roles: String,
    created: Moment,
    is_self: bool,
}

#[derive(Template)]
#[template(path = "token.html")]
struct NewKey {
    frame: PageFrame,
    name: String,
    key: String,
}

/// What a form came to.
enum Outcome {
    Done(&'static str),
    Wrong(String),
}

/// Who is logged in by a session, and its key: programs with tokens have no account of their own.
fn account_of<'a>(context: &PageContext<'a>) -> Result<(String, &'a str), PageError> {
    let identity = &context.request.identity;
    let name = identity.user.clone().filter(|_| identity.grant.is_none());
    name.zip(context.request.session.as_deref()).ok_or_else(|| PageError {
        status: StatusCode::UNAUTHORIZED,
        text: "This page is about an account. Sign in to see yours.".to_owned(),
    })
}

fn may_admin(context: &PageContext<'_>) -> Result<(), PageError> {
    // Whoever sets passwords can do what everybody can: more than a token allows.
    if context.request.identity.grant.is_some() {
        let text = "Users are changed by people who are logged in, not with tokens.".to_owned();
        return Err(PageError { status: StatusCode::FORBIDDEN, text });
    }
    let judged = context.control.may(&context.request.identity, Action::Admin, &Object::Installation);
    judged.map_err(|denial| {
        let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        PageError { status, text: format!("{}.", capital(&denial.to_string())) }
    })
}

/// One's own page.
pub fn account(context: &PageContext<'_>) -> PageResult {
    let done = match context.request.query_value("done").as_deref() {
        Some("login") => "The login has ended.",
        Some("token") => "The token is revoked.",
        _ => "",
    };
    show_account(context, &Outcome::Done(done))
}

fn show_account(context: &PageContext<'_>, outcome: &Outcome) -> PageResult {
    let (name, key) = account_of(context)?;
    let (identity, accounts) = (&context.request.identity, context.accounts);
    let logins = accounts.logins_of(&context.plan, &name, key);
    let logins = logins.into_iter().map(|login| LoginRow {
        id: login.id,
        way: login.way,
        created: context.moment(login.created),
        used: context.moment(login.used),
        is_this: login.is_this,
    });
    let keeps_password = accounts.keeps_password(&context.plan, &name, key);
    let is_own = |token: &TokenRecord| keeps_password && token.user.as_deref() == Some(name.as_str());
    let mut frame = context.frame("Your account", "account", "");
    frame.moves = false;
    let view = Account {
        frame,
        full_name: identity.full_name.clone().unwrap_or_default(),
        roles: identity.groups.iter().cloned().collect::<Vec<_>>().join(", "),
        keeps_password,
        done: outcome.done(),
        problem: outcome.problem(),
        logins: logins.collect(),
        tokens: tokens(context, is_own, "/account/tokens")?,
        actions: Action::ALL.iter().map(|action| action.word()).collect(),
        token_days: TOKEN_DAYS,
        is_admin: may_admin(context).is_ok(),
        name,
    };
    Ok(page(context.request, outcome.status(), &view))
}

/// All users and tokens.
pub fn users(context: &PageContext<'_>) -> PageResult {
    let done = match context.request.query_value("done").as_deref() {
        Some("added") => "The user can log in.",
        Some("removed") => "The user is removed and logged out.",
        Some("password") => "The password is set, and the user is logged out everywhere.",
        Some("token") => "The token is revoked.",
        _ => "",
    };
    show_users(context, &Outcome::Done(done))
}

fn show_users(context: &PageContext<'_>, outcome: &Outcome) -> PageResult {
    may_admin(context)?;
    let all = context.accounts.users().list().map_err(|error| unreadable(&error))?;
    let row = |(name, user): (String, UserRecord)| UserRow {
        href: format!("/users/{}", encode(&name)),
        full_name: user.full_name.unwrap_or_default(),
        mail: user.mail.unwrap_or_default(),
        roles: user.roles.into_iter().collect::<Vec<_>>().join(", "),
        created: context.moment(user.created),
        is_self: context.request.identity.user.as_ref() == Some(&name),
        name,
    };
    let view = AllUsers {
        frame: context.frame("Users", "account", ""),
        is_local: context.plan.logins.keeps_users(),
        done: outcome.done(),
        problem: outcome.problem(),
        users: all.into_iter().map(row).collect(),
        tokens: tokens(context, |_| true, "/users/tokens")?,
    };
    Ok(page(context.request, outcome.status(), &view))
}

fn tokens(
    context: &PageContext<'_>,
    wanted: impl Fn(&TokenRecord) -> bool,
    base: &str,
) -> Result<Vec<TokenRow>, PageError> {
    let all = context.accounts.tokens().list().map_err(|error| unreadable(&error))?;
    let row = |(name, token): (String, TokenRecord)| TokenRow {
        href: format!("{base}/{}", encode(&name)),
        scopes: token.actions.iter().map(|action| action.word()).collect::<Vec<_>>().join(", "),
        builders: if token.builders.is_empty() { "all".to_owned() } else { token.builders.join(", ") },
        user: token.user.unwrap_or_default(),
        created: context.moment(token.created),
        expires: token.expires.map(|end| context.moment(end)),
        name,
    };
    Ok(all.into_iter().filter(|(_, token)| wanted(token)).map(row).collect())
}

impl Outcome {
    const fn done(&self) -> &'static str {
        match self {
            Self::Done(text) => text,
            Self::Wrong(_) => "",
        }
    }

    fn problem(&self) -> String {
        match self {
            Self::Done(_) => String::new(),
            Self::Wrong(text) => text.clone(),
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Done(_) => StatusCode::OK,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// The fields of a form, from its body alone: addresses end in logs and histories.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(request: &Request) -> Self {
        Self(pairs(&request.body))
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Answers a form of these pages.
pub async fn answer(shared: &Arc<Shared>, request: &Request, path: &[&str]) -> Result<Response, PageError> {
    let fields = Fields::of(request);
    match path {
        ["account", "password"] => own_password(shared, request, &fields).await,
        ["account", "logins", id, "end"] => {
            let context = PageContext::new(shared, request);
            let (name, key) = account_of(&context)?;
            if !shared.accounts.end_login(&context.plan, (&name, key), id, doer(request)) {
                return Err(PageError::missing("That login has ended already."));
            }
            Ok(see_other("/account?done=login"))
        }
        ["account", "tokens"] => new_token(shared, request, &fields),
        ["account", "tokens", token, "revoke"] => {
            let context = PageContext::new(shared, request);
            let (name, key) = account_of(&context)?;
            if !shared.accounts.keeps_password(&context.plan, &name, key) {
                return Err(PageError::missing("You have no such token."));
            }
            shared.accounts.revoke_token(token, Some(&name), doer(request)).map_err(|error| token_error(&error))?;
            Ok(see_other("/account?done=token"))
        }
        ["users", "tokens", token, "revoke"] => {
            may_admin(&PageContext::new(shared, request))?;
            shared.accounts.revoke_token(token, None, doer(request)).map_err(|error| token_error(&error))?;
            Ok(see_other("/users?done=token"))
        }
        ["users"] => new_user(shared, request, &fields).await,
        ["users", name, "remove"] => {
            let context = PageContext::new(shared, request);
            may_admin(&context)?;
            if request.identity.user.as_deref() == Some(*name) {
                let text = "You cannot remove yourself. Somebody else who is an administrator can.".to_owned();
                return show_users(&context, &Outcome::Wrong(text));
            }
            match shared.accounts.remove_user(name, doer(request)) {
                Ok(()) => Ok(see_other("/users?done=removed")),
                Err(error) => show_users(&context, &Outcome::Wrong(sentence(&error))),
            }
        }
        ["users", name, "password"] => {
            let context = PageContext::new(shared, request);
            may_admin(&context)?;
            let (shared, user, new) = (Arc::clone(shared), (*name).to_owned(), fields.get("password").to_owned());
            let by = request.clone();
            let set = hashing(move || shared.accounts.set_password(&user, &new, doer(&by)));
            match set.await? {
                Ok(()) => Ok(see_other("/users?done=password")),
                Err(error) => show_users(&context, &Outcome::Wrong(sentence(&error))),
            }
        }
        _ => Err(PageError::missing("There is no such action.")),
    }
}

async fn own_password(shared: &Arc<Shared>, request: &Request, fields: &Fields) -> Result<Response, PageError> {
    let context = PageContext::new(shared, request);
    let (name, key) = account_of(&context)?;
    let (present, new) = (fields.get("present").to_owned(), fields.get("new").to_owned());
    if new != fields.get("again") {
        return show_account(&context, &Outcome::Wrong("The two new passwords differ.".to_owned()));
    }
    let plan = shared.control.plan();
    let changed = shared.accounts.change_password(&plan, (&name, key), (&present, &new), doer(request)).await;
    match changed {
        Ok(()) => {
            // All logins have ended with the old password; whoever changed it goes on with a new one.
            let mut response = see_other("/account");
            let again = shared.accounts.log_in(&plan, (&name, &new), shared.share_of(request)).await;
            if let Ok((_, key)) = again {
                cookies::give(&mut response, &shared.control.url(), &key, plan.logins.sessions.lifetime);
            }
            Ok(response)
        }
        Err(error @ (PasswordError::Wrong | PasswordError::Elsewhere | PasswordError::Login(_))) => {
            show_account(&context, &Outcome::Wrong(format!("{}.", capital(&error.to_string()))))
        }
        Err(PasswordError::User(error)) => show_account(&context, &Outcome::Wrong(sentence(&error))),
    }
}

fn new_token(shared: &Arc<Shared>, request: &Request, fields: &Fields) -> Result<Response, PageError> {
    let context = PageContext::new(shared, request);
    let (name, key) = account_of(&context)?;
    let wrong = |text: &str| show_account(&context, &Outcome::Wrong(text.to_owned()));
    if !shared.accounts.keeps_password(&context.plan, &name, key) {
        return wrong("Only users whom this master keeps can have tokens. Ask an administrator for one.");
    }
    let actions: BTreeSet<Action> = fields.all("scope").filter_map(Action::of_word).collect();
    if actions.is_empty() {
        return wrong("Choose at least one thing that the token may do.");
    }
    let days = fields.get("days").trim().parse::<u64>().unwrap_or(0);
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return wrong(&format!("A token made here lasts 1 to {TOKEN_DAYS_MAX} days."));
    }
    let builders = fields.get("builders").split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned);
    let new = NewToken {
        actions,
        builders: builders.collect(),
        user: Some(name),
        class: request.identity.class,
        lives: Some(Span::from_minutes(days * 24 * 60)),
    };
    let token = fields.get("name").trim();
    match shared.accounts.create_token(token, new, doer(request)) {
        Ok(key) => {
            let view = NewKey { frame: context.frame("New token", "account", ""), name: token.to_owned(), key };
            Ok(page(request, StatusCode::OK, &view))
        }
        Err(error) => wrong(&format!("{}.", capital(&chain(&error)))),
    }
}

async fn new_user(shared: &Arc<Shared>, request: &Request, fields: &Fields) -> Result<Response, PageError> {
    let context = PageContext::new(shared, request);
    may_admin(&context)?;
    let text = |name: &str| Some(fields.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    let roles: BTreeSet<String> =
        fields.get("roles").split([',', ' ']).filter(|role| !role.is_empty()).map(str::to_owned).collect();
    if let Some(role) = roles.iter().find(|role| [ANYONE, AUTHENTICATED, OWNER].contains(&role.as_str())) {
        let text = format!("The role {role} is built in, and nobody can be given it.");
        return show_users(&context, &Outcome::Wrong(text));
    }
    let new = NewUser { full_name: text("full_name"), mail: text("mail"), roles, ..NewUser::default() };
    let (shared, name, password) =
        (Arc::clone(shared), fields.get("name").trim().to_owned(), fields.get("password").to_owned());
    let by = request.clone();
    let added = hashing(move || shared.accounts.add_user(&name, &password, new, doer(&by)));
    match added.await? {
        Ok(()) => Ok(see_other("/users?done=added")),
        Err(error) => show_users(&context, &Outcome::Wrong(sentence(&error))),
    }
}

/// Hashes a password on a thread that may take its time.
async fn hashing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PageError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| PageError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        text: "The password could not be kept. See the log of the master.".to_owned(),
    })
}

fn doer(request: &Request) -> Doer<'_> {
    Doer { identity: &request.identity, address: request.address() }
}

fn sentence(error: &UserError) -> String {
    format!("{}.", capital(&chain(error)))
}

fn token_error(error: &TokenError) -> PageError {
    PageError::missing(format!("{}.", capital(&chain(error))))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> PageError {
    tracing::error!(error = %chain(error), "failed to read who may log in");
    PageError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        text: "The list of users or tokens could not be read. See the log of the master.".to_owned(),
    }
}
