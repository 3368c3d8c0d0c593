//! Files that a script moves between master and worker.

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneOr;

use super::arguments::path_of;
use crate::config::evaluate::command;
use crate::config::evaluate::files::{file, file_value};
use crate::config::evaluate::result::ResultValue;
use crate::config::evaluate::run::Run;
use crate::config::template::AuthorText;
use crate::model::{
    ArtifactSource, DownloadSpec, FileCommand, Piece, Text, UploadSpec, WRITTEN_BYTES_MAX, WriteSpec,
    check_artifact_name,
};

/// Texts that one step writes to files: its journal keeps them.
const WRITTEN_OF_STEP_MAX: usize = 16 << 20;

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// Writes a text to a file on the worker, which replaces a file of that name.
    ///
    /// Missing directories are created. The text may hold secrets and may be a template; its values are not quoted. It
    /// is recorded with the build (secrets only by name), so it can have at most 1 MiB.
    fn write<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] path: AuthorText<'v>,
        #[starlark(require = pos)] text: Value<'v>,
        #[starlark(require = named, default = NoneOr::None)] mode: NoneOr<i64>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let path = path_of("path", path.path("path", this, eval)?)?;
        let content = command::text("text", text, this, eval)?;
        let run = Run::of(eval)?;
        let bytes = bytes_of(&content);
        if bytes > WRITTEN_BYTES_MAX {
            return Err(refused(format!(
                "the text for `{path}` has {bytes} bytes, more than {WRITTEN_BYTES_MAX}\nhint: keep it in the repository, \
                 or upload it as an artifact and use ctx.download"
            )));
        }
        if run.written_bytes(bytes) > WRITTEN_OF_STEP_MAX {
            return Err(refused(format!("the texts that this step writes have more than {WRITTEN_OF_STEP_MAX} bytes")));
        }
        file_value(run, &FileCommand::Write(WriteSpec { path, content, mode: bits(mode.into_option())? }), check)
    }

    /// Keeps a file or a directory of the worker as artifacts of the build.
    ///
    /// `name` is a path below the build's artifacts; by default, the last part of `path`. The files of a directory are
    /// kept one by one, under names that begin with it; links are left out. An artifact of the same name is replaced.
    /// The result has `artifacts`, each with `name`, `size` and `digest` (SHA-256). `max_size` limits the bytes.
    fn upload<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] path: AuthorText<'v>,
        #[starlark(require = named)] name: Option<NoneOr<AuthorText<'v>>>,
        #[starlark(require = named, default = NoneOr::None)] max_size: NoneOr<u64>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let path = path_of("path", path.path("path", this, eval)?)?;
        let name = match name.and_then(NoneOr::into_option) {
            Some(name) => name.path("name", this, eval)?,
            None => last_part(&path).to_owned(),
        };
        check_artifact_name(&name).map_err(|why| refused(format!("the artifact's name `{name}` {why}")))?;
        let run = Run::of(eval)?;
        let stat = FileCommand::Stat(path.clone());
        let found = file(run, &stat, check)?;
        let Some(numbers) = found.stat.as_ref().filter(|_| found.outcome.is_ok()) else {
            return Ok(ResultValue::of_file(&found, &stat));
        };
        let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
        let kind = number(0) & 0o170_000;
        let is_directory = kind == 0o040_000;
        if !is_directory && kind != 0o100_000 {
            // A pipe would be read until somebody writes into it and closes it.
            return Err(refused(format!("`{path}` is neither a file nor a directory, so it cannot be uploaded")));
        }
        let mode = u32::try_from(number(0) & 0o7777).ok().filter(|_| !is_directory);
        let modified = (!is_directory).then(|| number(8));
        let bytes_max = max_size.into_option();
        file_value(run, &FileCommand::Upload(UploadSpec { path, name, is_directory, bytes_max, mode, modified }), check)
    }

    /// Puts an artifact onto the worker, as the file `path`; by default, under the last part of its name.
    ///
    /// It is an artifact of this build, of build `number` of a builder, or, without `number`, of the builder's build that
    /// triggered this one, directly or through others, or else of its newest build that ended with success or warnings.
    /// The content is compared with the digest that was recorded at the upload.
    fn download<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: AuthorText<'v>,
        #[starlark(require = pos)] path: Option<NoneOr<AuthorText<'v>>>,
        #[starlark(require = named)] builder: Option<NoneOr<AuthorText<'v>>>,
        #[starlark(require = named, default = NoneOr::None)] number: NoneOr<u64>,
        #[starlark(require = named, default = NoneOr::None)] mode: NoneOr<i64>,
        #[starlark(require = named, default = true)] check: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<ResultValue> {
        let name = name.path("name", this, eval)?;
        check_artifact_name(&name).map_err(|why| refused(format!("the artifact's name `{name}` {why}")))?;
        let path = match path.and_then(NoneOr::into_option) {
            Some(path) => path_of("path", path.path("path", this, eval)?)?,
            None => last_part(&name).to_owned(),
        };
        let builder = builder.and_then(NoneOr::into_option).map(|name| name.text("builder", this, eval)).transpose()?;
        let run = Run::of(eval)?;
        let from = match (builder, number.into_option()) {
            (None, None) => ArtifactSource::ThisBuild,
            (None, Some(_)) => return Err(refused("`number` needs the name of a `builder`".to_owned())),
            (Some(builder), _) if !run.plan.builders.contains_key(&builder) => {
                return Err(refused(format!("there is no builder `{builder}`")));
            }
            (Some(builder), Some(number)) => ArtifactSource::Build { builder, number },
            (Some(builder), None) => ArtifactSource::LastSuccessful { builder },
        };
        let mode = bits(mode.into_option())?;
        file_value(run, &FileCommand::Download(DownloadSpec { from, name, path, mode }), check)
    }
}

/// Bytes of a text, secrets by the length of their names.
fn bytes_of(text: &Text) -> usize {
    text.0.iter().map(|piece| if let Piece::Plain(text) = piece { text.len() } else { 0 }).sum()
}

/// Permission bits of a new file.
fn bits(mode: Option<i64>) -> starlark::Result<Option<u32>> {
    let Some(mode) = mode else { return Ok(None) };
    let bits = u32::try_from(mode).ok().filter(|bits| *bits <= 0o777);
    bits.map(Some).ok_or_else(|| refused(format!("`mode` must be between 0o000 and 0o777, not {mode}")))
}

/// The last part of a path, in the syntax of any worker.
fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default()
}

fn refused(text: String) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::msg(text))
}
