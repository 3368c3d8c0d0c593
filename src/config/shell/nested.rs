//! Words of a command that another shell or interpreter reads as code, where that can be seen.

use super::git_words;
use super::word::Word;

const SHELLS: [&str; 11] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "rbash", "csh", "tcsh"];

/// Programs that take code after an option with one of these letters.
const INTERPRETERS: [(&str, &[char]); 12] = [
    ("python", &['c']),
    ("python2", &['c']),
    ("python3", &['c']),
    ("perl", &['e', 'E']),
    ("ruby", &['e']),
    ("node", &['e', 'p']),
    ("php", &['r']),
    ("lua", &['e']),
    ("su", &['c']),
    ("runuser", &['c']),
    ("script", &['c']),
    ("flock", &['c']),
];

/// Commands all of whose words are code, or names that bash evaluates (`a[$(…)]`).
const READERS: &[&str] = &[
    "eval",
    "trap",
    "let",
    "alias",
    "unset",
    "rsh",
    "watch",
    "parallel",
    "declare",
    "typeset",
    "local",
    "read",
    "mapfile",
    "readarray",
    "getopts",
    "complete",
    "bind",
    "coproc",
];

/// Commands that evaluate their words as soon as they have one of these options.
const READERS_BY_OPTION: [(&str, &[&str]); 4] =
    [("test", &["-v", "-R"]), ("[", &["-v", "-R"]), ("printf", &["-v"]), ("env", &["-S", "--split-string"])];

/// Commands that run the command that follows them.
const PREFIXES: &[&str] = &[
    "sshpass",
    "gosu",
    "fakeroot",
    "taskset",
    "systemd-run",
    "xvfb-run",
    "nsenter",
    "bwrap",
    "lxc",
    "wsl",
    "sudo",
    "doas",
    "env",
    "nice",
    "ionice",
    "nohup",
    "setsid",
    "stdbuf",
    "timeout",
    "time",
    "exec",
    "command",
    "builtin",
    "xargs",
    "chroot",
    "docker",
    "podman",
    "kubectl",
    "strace",
    "unshare",
];

/// Shells of Windows.
const WINDOWS_SHELLS: [&str; 3] = ["cmd", "powershell", "pwsh"];

/// Further programs that execute their standard input, unless they are given a file.
const OTHER_READERS: [&str; 8] = ["pypy", "pypy3", "deno", "bun", "tclsh", "expect", "irb", "rscript"];

/// Options of shells that take a value.
const SHELL_VALUES: &[&str] = &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"];

/// Long options that code follows.
const LONG_CODE: [&str; 5] = ["--eval", "--print", "--command", "--run", "--session-command"];

/// Options of ssh that take a value.
const SSH_VALUES: &str = "BbcDEeFIiJLlmOopQRSWw";

/// What a place is inside of that another shell executes.
pub(super) const SHELL_WORD: &str = "in something that another shell executes";
const CODE_WORD: &str = "in something that another program executes";

/// Whether a command reads commands from its standard input.
pub(super) fn reads_code(words: &[Word]) -> bool {
    let mut leads = true;
    for (index, word) in words.iter().enumerate() {
        if leads && !is_assignment(word) && program_reads_code(&word.program(), &words[index + 1..]) {
            return true;
        }
        // Behind a prefix any word may be the command: its options are not known here.
        leads =
            leads && is_assignment(word) || PREFIXES.contains(&word.program().as_str()) || is_prefixed(words, index);
    }
    false
}

fn program_reads_code(program: &str, rest: &[Word]) -> bool {
    let interpreter = INTERPRETERS.iter().find(|(name, _)| is_version_of(program, name));
    match program {
        "ssh" => ssh_reads_code(rest),
        "busybox" => reads_code(rest),
        "." | "source" => rest.first().is_some_and(names_standard_input),
        "make" | "gmake" => rest.iter().any(names_standard_input),
        // They start a shell for somebody, or record one, whatever their operands.
        "su" | "runuser" | "script" => !rest.iter().any(|word| is_code_option(&word.text, &['c'])),
        "flock" => reads_code(rest.get(1..).unwrap_or_default()),
        "at" | "batch" => !rest.iter().any(|word| word.text == "-f"),
        "parallel" => rest.iter().all(|word| word.text.starts_with('-')),
        _ if SHELLS.contains(&program) => no_file_follows(rest, &['c'], SHELL_VALUES, &['s']),
        _ if WINDOWS_SHELLS.contains(&program) => rest.is_empty() || rest.last().is_some_and(names_standard_input),
        _ if OTHER_READERS.contains(&program) => no_file_follows(rest, &['e', 'p', 'c', 'f'], &[], &[]),
        _ => interpreter.is_some_and(|(name, letters)| {
            let values: &[&str] = if name.starts_with("python") { &["-W", "-X"] } else { &[] };
            no_file_follows(rest, letters, values, &[])
        }),
    }
}

/// Whether neither an option with code nor a file stands before the end: then the program reads its standard input.
fn no_file_follows(words: &[Word], code: &[char], values: &[&str], always: &[char]) -> bool {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.text.as_str();
        if names_standard_input(word) {
            return true;
        }
        if !text.starts_with(['-', '+']) {
            return false;
        }
        let letters = if text.starts_with("--") { "" } else { &text[1..] };
        if is_code_option(text, code) {
            return false;
        }
        if letters.contains(always) {
            return true;
        }
        if values.contains(&text) {
            rest.next();
        }
    }
    true
}

/// Whether code follows the option, as with `-c`, `-lc` or `--eval=…`.
fn is_code_option(text: &str, letters: &[char]) -> bool {
    let is_long = LONG_CODE.iter().any(|name| text.starts_with(name));
    is_long || text.starts_with('-') && !text.starts_with("--") && text.contains(letters)
}

fn names_standard_input(word: &Word) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "--file=-", "--makefile=-", "-f-"].contains(&word.text.as_str())
}

/// Without a command, ssh starts a shell there; otherwise what reads is the command.
fn ssh_reads_code(words: &[Word]) -> bool {
    let mut rest = words.iter().enumerate();
    let mut has_host = false;
    while let Some((index, word)) = rest.next() {
        match word.text.strip_prefix('-') {
            // `-tp 22`: the value of the last letter follows.
            Some(letters) if letters.find(|c| SSH_VALUES.contains(c)).is_some_and(|at| at + 1 == letters.len()) => {
                rest.next();
            }
            Some(_) => {}
            None if has_host => return remote_reads_code(&words[index..]),
            None => has_host = true,
        }
    }
    true
}

fn remote_reads_code(words: &[Word]) -> bool {
    let line = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let mut commands = line.split([';', '&', '|', '(', ')', '\n']).map(|command| {
        let each =
            command.split_whitespace().map(|word| Word { text: word.replace(['\'', '"'], ""), ..Word::default() });
        each.collect::<Vec<_>>()
    });
    line.trim().is_empty() || commands.any(|command| reads_code(&command))
}

/// The places of a simple command that become code, each with what it is inside of.
pub(super) fn refused(words: &[Word]) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut may_lead = true;
    for (index, word) in words.iter().enumerate() {
        let program = word.program();
        let rest = &words[index + 1..];
        if SHELLS.contains(&program.as_str()) {
            found.extend(of_code(rest, &['c'], SHELL_WORD));
        }
        if program == "busybox" {
            continue;
        }
        if let Some((_, letters)) = INTERPRETERS.iter().find(|(name, _)| is_version_of(&program, name)) {
            let why = if letters == &['c'] && !program.starts_with("python") { SHELL_WORD } else { CODE_WORD };
            found.extend(of_code(rest, letters, why));
        }
        if !may_lead {
            continue;
        }
        let by_option = READERS_BY_OPTION
            .iter()
            .any(|(name, options)| *name == program && rest.iter().any(|word| options.contains(&word.text.as_str())));
        // A command whose name is a variable may be a shell.
        let unknown = word.leads && word.quoted && program.is_empty() && rest.iter().any(|word| word.text == "-c");
        if READERS.contains(&program.as_str()) || by_option || unknown {
            found.extend(places(rest, SHELL_WORD));
        } else if program == "ssh" {
            found.extend(of_ssh(rest));
        } else if program == "git" {
            found.extend(git_words::executed(rest).into_iter().map(|place| (place, CODE_WORD)));
        } else if ["awk", "gawk", "mawk", "nawk"].contains(&program.as_str()) {
            found.extend(of_awk(rest));
        }
        // Behind a prefix any word may be a command: its options are not known here.
        let leads_on = PREFIXES.contains(&program.as_str()) || is_assignment(word) || is_prefixed(words, index);
        may_lead = leads_on;
    }
    found
}

/// `python3.12` is a `python3`.
fn is_version_of(program: &str, name: &str) -> bool {
    program.strip_prefix(name).is_some_and(|rest| rest.chars().all(|c| c == '.' || c.is_ascii_digit()))
}

fn is_assignment(word: &Word) -> bool {
    let name = word.text.split('=').next().unwrap_or_default();
    word.text.contains('=') && !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn is_prefixed(words: &[Word], index: usize) -> bool {
    let first = words[..index].iter().find(|word| !is_assignment(word));
    first.is_some_and(|word| PREFIXES.contains(&word.program().as_str()))
}

fn places<'w>(words: &'w [Word], why: &'static str) -> impl Iterator<Item = (usize, &'static str)> + 'w {
    words.iter().flat_map(|word| &word.places).map(move |place| (*place, why))
}

/// The code after an option such as `-c`, `-lc` or `--eval`: the first word behind it that is not an option.
fn of_code(words: &[Word], letters: &[char], why: &'static str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let mut code_follows = false;
    let mut value_follows = false;
    for word in words {
        let text = word.text.as_str();
        if std::mem::take(&mut value_follows) {
            continue;
        }
        if text.starts_with(['-', '+']) && text.len() > 1 {
            let is_short = !text.starts_with("--");
            // `-o pipefail` takes a value, wherever it stands.
            value_follows = is_short && text.ends_with(['o', 'O']);
            if is_short && text.contains(letters) || LONG_CODE.iter().any(|name| text.starts_with(name)) {
                code_follows = true;
                // The code may stick to its option.
                found.extend(places(std::slice::from_ref(word), why));
            }
        } else if code_follows {
            found.extend(places(std::slice::from_ref(word), why));
            break;
        }
    }
    found
}

/// awk's program is its first word that is not an option.
fn of_awk(words: &[Word]) -> Vec<(usize, &'static str)> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.text.as_str() {
            "-f" => return Vec::new(),
            "-F" | "-v" => drop(rest.next()),
            text if text.starts_with('-') && text != "--" => {}
            "--" => {}
            _ => return places(std::slice::from_ref(word), CODE_WORD).collect(),
        }
    }
    Vec::new()
}

/// ssh joins the words behind the machine's name to a line for the shell there.
fn of_ssh(words: &[Word]) -> Vec<(usize, &'static str)> {
    let mut rest = words.iter().enumerate();
    while let Some((index, word)) = rest.next() {
        let Some(letters) = word.text.strip_prefix('-') else {
            return places(&words[index + 1..], SHELL_WORD).collect();
        };
        if word.text == "--" {
            continue;
        }
        if letters.starts_with('o') && !word.places.is_empty() {
            return places(std::slice::from_ref(word), SHELL_WORD).collect();
        }
        let takes_next = letters.chars().count() == 1 && SSH_VALUES.contains(letters);
        let is_option = takes_next && letters == "o";
        if takes_next
            && let Some((_, value)) = rest.next()
            && is_option
            && !value.places.is_empty()
        {
            return places(std::slice::from_ref(value), SHELL_WORD).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line at its blanks; `@` is a place.
    fn count(line: &str) -> usize {
        let mut next = 0;
        let words: Vec<Word> = line
            .split(' ')
            .map(|text| {
                let mut word = Word::default();
                for c in text.replace('_', " ").chars() {
                    if c == '@' {
                        word.take(next);
                        next += 1;
                    } else {
                        word.text.push(c);
                    }
                }
                word
            })
            .collect();
        refused(&words).len()
    }

    #[test]
    fn code_for_other_shells_is_found() {
        for line in [
            "sh -c make_@",
            "bash -lc @",
            "/bin/bash -e -c make_@ x",
            "sudo -u me bash -c @",
            "docker exec box sh -c @",
            "xargs -I{} sh -c @",
            "bash -o pipefail -c @",
            "bash -c -o pipefail @",
            "eval @",
            "X=1 eval make @",
            "sudo eval @",
            "ssh host make @",
            "ssh -p 22 -i key host @",
            "ssh -o @ host",
            "trap @ EXIT",
            "python3.12 -c print(@)",
            "perl -ne @",
            "node --eval=@",
            "su -c @ me",
            "env A=b sh -c @",
            "watch @",
            "sshpass -p x ssh host make @",
            "awk -F: -v x=y {print@}",
            "declare -i x=@",
            "read @",
            "test -v @",
            "[ -v @ ]",
            "printf -v @ x",
            "env -S @",
            "git -c alias.x=@ x",
            "git -c @ status",
            "git -C dir -c core.sshCommand=@ fetch",
            "git clone -c core.hooksPath=@ url",
            "git submodule foreach make_@",
            "git rebase -x @ main",
            "git fetch --upload-pack=@ origin",
        ] {
            assert_eq!(count(line), 1, "{line}");
        }
    }

    fn reads(line: &str) -> bool {
        let words = line.split(' ').map(|text| Word { text: text.replace('_', " "), ..Word::default() });
        reads_code(&words.collect::<Vec<_>>())
    }

    #[test]
    fn programs_that_execute_their_input_are_found() {
        for line in [
            "sh",
            "/bin/bash -e",
            "sh -s",
            "sh -s -- x",
            "bash -es x",
            "bash -o pipefail",
            "bash --rcfile x -i",
            "sh -",
            "sh /dev/stdin",
            "X=1 sh",
            "sudo -u me bash -s x",
            "docker exec -i box sh",
            "env A=b python3 -",
            "python3",
            "python3.12 -u -",
            "python -W error",
            "perl -w",
            "ruby",
            "node -",
            "ssh host",
            "ssh -p 22 host bash -s x",
            "ssh -tp 22 host -- sh",
            "ssh host cd_x;_sh",
            "busybox sh",
            "su me",
            ". /dev/stdin",
            "make -f -",
            "pwsh -Command -",
            "cmd.exe",
            "at now",
            "flock lock sh",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn programs_that_take_their_input_as_data_are_not() {
        for line in [
            "cat",
            "sh build.sh",
            "sh -c cat",
            "bash -lc cat",
            "bash -o pipefail build.sh",
            "python3 -c code",
            "python3 -m json.tool",
            "python3 read.py -",
            "perl -ne print",
            "ssh host cat",
            "ssh -p 22 host cat_>_file",
            "sudo -u me tee file",
            "docker exec -i box cat",
            "SHELL=/bin/sh make",
            "su -c cat me",
            "git apply -",
            "docker login --password-stdin",
        ] {
            assert!(!reads(line), "{line}");
        }
    }

    #[test]
    fn plain_words_are_left_alone() {
        for line in [
            "make @",
            "sh build.sh @",
            "sh -c code name @",
            "bash -x script @",
            "rsync -e ssh @ host:",
            "ssh @",
            "ssh -p @ host",
            "python3 setup.py -c @",
            "git -c user.name=x commit -m @",
            "git -c user.name=@ commit -c @",
            "git -C @ checkout @ -- path",
            "echo eval @",
            "sed s/x/@/ file",
            "awk -v x=@ {print} @",
            "printf -c @",
        ] {
            let wanted = usize::from(line.starts_with("python3 setup"));
            assert_eq!(count(line), wanted, "{line}");
        }
    }
}
