//! A real directory server (OpenLDAP's slapd) with some people and groups.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::smtp::{CERTIFICATE, KEY};

const CONFIG: &str = r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/slapd.pid
database mdb
suffix "dc=example,dc=org"
rootdn "cn=root,dc=example,dc=org"
rootpw "root's password"
directory DIR/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=groups,dc=example,dc=org" by users read by * none
access to * by dn.exact="cn=reader,dc=example,dc=org" read by self read by * none
"#;

/// `a*b` is somebody whose name a careless filter would take for a pattern.
const ENTRIES: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=reader,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: the reader's password

dn: uid=ann,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ann
cn: Ann Lee
sn: Lee
mail: ann@example.org
userPassword: a good password

dn: uid=a*b,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: a*b
cn: Odd
sn: Odd
userPassword: an odd password

dn: cn=dev,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: dev
member: uid=ann,ou=people,dc=example,dc=org

dn: cn=admin,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: admin
member: uid=ann,ou=people,dc=example,dc=org
";

/// Ports that are tried.
const STARTS_MAX: usize = 5;

/// A running server; killed when dropped.
pub struct Slapd {
    child: Child,
    pub url: String,
    _dir: TempDir,
}

impl Slapd {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_with("ldap://127.0.0.1", "")
    }

    /// Starts one that is reached by TLS only, with the certificate of the tests.
    pub fn start_with_tls() -> Self {
        let tls = format!("TLSCertificateFile {CERTIFICATE}\nTLSCertificateKeyFile {KEY}\n");
        Self::start_with("ldaps://localhost", &tls)
    }

    fn start_with(base: &str, settings: &str) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let config = dir.path().join("slapd.conf");
        let text = CONFIG.replace("DIR", dir.path().to_str().unwrap());
        // What is about the whole server comes before its databases.
        std::fs::write(&config, text.replace("database mdb", &format!("{settings}database mdb"))).unwrap();
        let entries = dir.path().join("entries.ldif");
        std::fs::write(&entries, ENTRIES).unwrap();
        // A copy: where AppArmor guards the installed one, it may not read elsewhere. Made by another process, so that no
        // child of ours holds it open for writing while it is started.
        let program = dir.path().join("slapd");
        let copied = Command::new("cp").arg("/usr/sbin/slapd").arg(&program).status().unwrap();
        assert!(copied.success(), "there is no slapd; `make tools` installs it");
        let add = Command::new(&program).arg("-Tadd").arg("-f").arg(&config).arg("-l").arg(&entries).output();
        let add = add.unwrap_or_else(|error| panic!("slapd: {error}"));
        assert!(add.status.success(), "{}", String::from_utf8_lossy(&add.stderr));
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            // It cannot choose a port by itself, and another test may be faster.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let url = format!("{base}:{port}");
            match Self::spawn(&program, &config, &url) {
                Ok(child) => return Self { child, url, _dir: dir },
                Err(complaint) => said = complaint,
            }
        }
        panic!("slapd ended before it listened:\n{said}");
    }

    fn spawn(program: &Path, config: &Path, url: &str) -> Result<Child, String> {
        let mut command = Command::new(program);
        command.arg("-f").arg(config).args(["-h", url, "-d", "256"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            let Some(Ok(line)) = lines.next() else {
                child.wait().unwrap();
                return Err(said);
            };
            if line.contains("slapd starting") {
                break;
            }
            said += &format!("{line}\n");
        }
        // The pipe stays open and read, so that later lines never block it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(child)
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}
