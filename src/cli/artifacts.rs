//! `artifacts`: lists the files that a build left behind, and fetches them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value as Json;

use super::args::ArtifactsArgs;
use super::client::{Client, path_part};
use super::error::CliError;
use super::output::{bytes, outln};
use super::terminal::printable;
use crate::base::{Sha256, nearest};

/// A download that makes no progress for so long is given up.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What is read at once to digest what is there already.
const READ_BYTES: usize = 1 << 18;

/// An artifact as the API tells it.
struct Listed {
    name: String,
    size: u64,
    digest: String,
}

pub(super) fn run(
    client: Client,
    args: &ArtifactsArgs,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + '_, CliError> {
    Ok(async move {
        let build = client.build(&args.build).await?;
        let id = build["buildid"].as_u64().unwrap_or_default();
        let answer = client.own_get(&format!("builds/{id}/artifacts")).await?;
        match (&args.action, args.json) {
            (Some(_), _) => {
                let name = args.name.as_deref().unwrap_or_default();
                get(&client, id, &listed(&answer), name, args.output.as_deref()).await?;
            }
            (None, true) => outln!("{:#}", answer["artifacts"]),
            (None, false) => list(&args.build, &listed(&answer)),
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn listed(answer: &Json) -> Vec<Listed> {
    let all = answer["artifacts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |item: &Json, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let one = |item: &Json| Listed {
        name: text(item, "name"),
        size: item["size"].as_u64().unwrap_or_default(),
        digest: text(item, "sha256"),
    };
    all.iter().map(one).collect()
}

fn list(build: &str, artifacts: &[Listed]) {
    if artifacts.is_empty() {
        outln!("{build} has no artifacts");
        return;
    }
    let width = artifacts.iter().map(|artifact| bytes(artifact.size).chars().count()).max().unwrap_or_default();
    for artifact in artifacts {
        outln!("{}  {:>width$}  {}", artifact.digest, bytes(artifact.size), printable(&artifact.name));
    }
}

/// Fetches one. What an earlier call got of it is kept, and the rest asked for.
async fn get(
    client: &Client,
    build: u64,
    artifacts: &[Listed],
    name: &str,
    output: Option<&Path>,
) -> Result<(), CliError> {
    let Some(artifact) = artifacts.iter().find(|artifact| artifact.name == name) else {
        let error = CliError::user(format!("the build has no artifact `{name}`"));
        let near = nearest(name, artifacts.iter().map(|artifact| artifact.name.as_str()));
        let hint =
            near.map_or_else(|| "leave out the name to list them".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(error.hint(hint));
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    let path = output.map_or_else(|| PathBuf::from(last), Path::to_owned);
    let path = if path.is_dir() { path.join(last) } else { path };
    let mut growing = path.clone().into_os_string();
    growing.push(".part");
    let growing = PathBuf::from(growing);
    let failed =
        |error: std::io::Error| CliError::environment(format!("failed to write `{}`: {error}", growing.display()));
    let (mut file, mut digest, mut size) = open(&growing, artifact.size).map_err(failed)?;
    if size < artifact.size {
        let parts: Vec<String> = name.split('/').map(path_part).collect();
        let mut answer = client.own_stream(&format!("builds/{build}/artifacts/{}", parts.join("/")), size).await?;
        loop {
            let piece = tokio::time::timeout(PAUSE_MAX, answer.chunk()).await;
            let piece = piece.map_err(|_| {
                CliError::environment("the master sends nothing any more").hint("try again: it goes on where it was")
            })?;
            let cut = |error: reqwest::Error| {
                CliError::environment(format!("the download was cut off: {}", error.without_url()))
                    .hint("try again: it goes on where it was")
            };
            let Some(piece) = piece.map_err(cut)? else { break };
            file.write_all(&piece).map_err(failed)?;
            digest.update(&piece);
            size += piece.len() as u64;
        }
    }
    if digest.finish() != artifact.digest {
        fs::remove_file(&growing).map_err(failed)?;
        return Err(
            CliError::environment(format!("what arrived of `{name}` is not what was uploaded")).hint("try again")
        );
    }
    fs::rename(&growing, &path).map_err(failed)?;
    outln!("{} ({})", printable(&path.display().to_string()), bytes(size));
    Ok(())
}

/// The file at its end, with the digest and the size of what is there. More than there can be is dropped.
fn open(path: &Path, size_max: u64) -> std::io::Result<(File, Sha256, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.len() > size_max {
        file.set_len(0)?;
    }
    let (mut digest, mut size, mut block) = (Sha256::default(), 0, vec![0; READ_BYTES]);
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok((file, digest, size));
        }
        digest.update(&block[..count]);
        size += count as u64;
    }
}
