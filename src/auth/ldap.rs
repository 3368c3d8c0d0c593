//! A directory server checks the password; groups are those of its entries.
//!
//! Names and passwords never become part of a filter or a distinguished name unescaped. An empty password is refused: to
//! a directory server it means "nobody in particular", and it says yes.

use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, dn_escape, ldap_escape};
use tokio::sync::Semaphore;

use super::oidc::bounded;
use crate::model::{Identity, LdapLogin, LoginMethod};

/// All that one login asks for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Logins at a time; more wait.
const CONNECTIONS_MAX: usize = 8;
/// Groups of one user; further ones are left out.
const GROUPS_MAX: usize = 1_000;

/// Why a directory server did not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectoryError {
    #[error("ask the directory server")]
    Server(#[from] LdapError),
    #[error("the directory server has not answered in time")]
    Late,
    #[error("several entries fit the name")]
    Ambiguous,
}

/// Asks directory servers.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    connections: Arc<Semaphore>,
}

impl Default for Directory {
    fn default() -> Self {
        Self { connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Directory {
    /// Who has this name and password; none: nobody.
    pub async fn check(
        &self,
        login: &LdapLogin,
        service_password: Option<&str>,
        name: &str,
        password: &str,
    ) -> Result<Option<Identity>, DirectoryError> {
        if name.is_empty() || password.is_empty() {
            return Ok(None);
        }
        let asked = async {
            let _turn = self.connections.acquire().await;
            check(login, service_password, name, password).await
        };
        tokio::time::timeout(TIMEOUT, asked).await.unwrap_or(Err(DirectoryError::Late))
    }
}

async fn check(
    login: &LdapLogin,
    service_password: Option<&str>,
    name: &str,
    password: &str,
) -> Result<Option<Identity>, DirectoryError> {
    let settings = LdapConnSettings::new().set_conn_timeout(TIMEOUT).set_starttls(login.starttls);
    let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &login.url).await?;
    // Ends with the last handle, which is ours.
    tokio::spawn(async move { connection.drive().await });
    let found = authenticate(login, service_password, name, password, &mut ldap).await;
    // The connection is dropped in any case.
    let _ = ldap.unbind().await;
    found
}

async fn authenticate(
    login: &LdapLogin,
    service_password: Option<&str>,
    name: &str,
    password: &str,
    ldap: &mut Ldap,
) -> Result<Option<Identity>, DirectoryError> {
    let dn = match &login.user_dn {
        Some(template) => template.replace("{user}", &dn_escape(name)),
        None => {
            if let (Some(dn), Some(password)) = (&login.bind_dn, service_password) {
                ldap.simple_bind(dn, password).await?.success()?;
            }
            let filter = login.user_filter.replace("{user}", &ldap_escape(name));
            let (entries, _) = ldap.search(&login.user_base, Scope::Subtree, &filter, vec!["1.1"]).await?.success()?;
            let mut entries = entries.into_iter().filter(|entry| !entry.is_ref()).map(SearchEntry::construct);
            match (entries.next(), entries.next()) {
                (Some(entry), None) => entry.dn,
                (None, _) => return Ok(None),
                (Some(_), Some(_)) => return Err(DirectoryError::Ambiguous),
            }
        }
    };
    let bound = ldap.simple_bind(&dn, password).await?;
    // Invalid credentials, no such object, and the like: nobody.
    if bound.rc != 0 {
        return if matches!(bound.rc, 32 | 34 | 48 | 49 | 50 | 53) { Ok(None) } else { Err(refused(bound.success())) };
    }
    let attributes =
        vec![login.name_attribute.as_str(), login.full_name_attribute.as_str(), login.mail_attribute.as_str()];
    let (entries, _) = ldap.search(&dn, Scope::Base, "(objectClass=*)", attributes).await?.success()?;
    let entry = entries.into_iter().next().map(SearchEntry::construct);
    let first = |name: &str| entry.as_ref()?.attrs.get(name)?.first().and_then(|text| bounded(text));
    // A directory does not tell case apart, rights do: the entry says how the name is written.
    let written = first(&login.name_attribute).unwrap_or_else(|| name.to_owned());
    let user = Identity {
        full_name: first(&login.full_name_attribute),
        mail: first(&login.mail_attribute),
        ..Identity::user(format!("{}{written}", login.prefix), LoginMethod::Ldap)
    };
    let groups = match &login.group_base {
        Some(base) => groups(login, base, &dn, name, ldap).await?,
        None => Vec::new(),
    };
    Ok(Some(user.with_foreign_groups(groups)))
}

async fn groups(
    login: &LdapLogin,
    base: &str,
    dn: &str,
    name: &str,
    ldap: &mut Ldap,
) -> Result<Vec<String>, DirectoryError> {
    let filter = login.group_filter.replace("{dn}", &ldap_escape(dn)).replace("{user}", &ldap_escape(name));
    let attributes = vec![login.group_attribute.as_str()];
    let (entries, _) = ldap.search(base, Scope::Subtree, &filter, attributes).await?.success()?;
    let entries = entries.into_iter().filter(|entry| !entry.is_ref()).take(GROUPS_MAX).map(SearchEntry::construct);
    let names = entries.filter_map(|mut entry| entry.attrs.remove(&login.group_attribute));
    Ok(names.flatten().filter_map(|name| bounded(&name)).collect())
}

fn refused(result: Result<ldap3::LdapResult, LdapError>) -> DirectoryError {
    match result {
        Err(error) => DirectoryError::Server(error),
        Ok(_) => DirectoryError::Late,
    }
}
