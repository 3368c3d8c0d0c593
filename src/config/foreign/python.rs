//! Habits of Python that Starlark, or this product, does not share.

/// A name that Python programs use.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("os", "there is no `os`; a build has ctx.worker, and a command can use variables of the worker as $NAME"),
    ("sys", "there is no `sys`: a configuration has no command line and no standard streams"),
    (
        "env",
        "a configuration cannot read environment variables; use secret(\"name\") for passwords, and data(\"settings.json\") for everything else",
    ),
    (
        "environ",
        "a configuration cannot read environment variables; use secret(\"name\") for passwords, and data(\"settings.json\") for everything else",
    ),
    (
        "getenv",
        "a configuration cannot read environment variables; use secret(\"name\") for passwords, and data(\"settings.json\") for everything else",
    ),
    (
        "open",
        "data(\"file.json\") reads a file beside the configuration while that is loaded; a build can use ctx.run(\"cat file\").stdout",
    ),
    (
        "read_file",
        "data(\"file.json\") reads a file beside the configuration while that is loaded; a build can use ctx.run(\"cat file\").stdout",
    ),
    (
        "file",
        "data(\"file.json\") reads a file beside the configuration while that is loaded; a build can use ctx.run(\"cat file\").stdout",
    ),
    ("ctx", "`ctx` is the argument of a step's function: write def f(ctx):"),
    ("Path", "there is no `Path`: see path.join(\"a\", \"b\") and its neighbours"),
    ("re", "regular expressions are in `regex`: regex.match(pattern, text)"),
    ("time", "there is no clock; a build has ctx.now().seconds, and ctx.wait(\"30s\") for pauses"),
    ("datetime", "there is no clock; a build has ctx.now().text"),
    ("random", "there are no random numbers; you can choose by ctx.number, for example"),
    ("subprocess", "commands run on workers: ctx.run([\"make\", \"test\"])"),
    ("glob_files", "in a build, ctx.glob(\"*.txt\")"),
    ("frozenset", "write set([…])"),
    ("input", "a configuration cannot ask for input; a force scheduler's form has parameters, see force(…)"),
    ("eval", "there is no `eval`: write a function"),
    ("exec", "there is no `exec`: write a function"),
    ("round", "write fixed(x, 2), with load(\"@stdlib//text.star\", \"fixed\"); or int(x + 0.5)"),
    ("format", "write fixed(x, 2) or pad(n, 3), with load(\"@stdlib//text.star\", \"fixed\", \"pad\")"),
    ("pow", "write a loop, or x * x"),
    ("divmod", "write a // b and a % b"),
    ("next", "there are no iterators: take list[0]"),
    ("iter", "there are no iterators: loop over the list"),
    ("callable", "write type(x) == \"function\""),
    ("object", "there are no classes: use struct(…)"),
    ("super", "there are no classes: call the other function"),
    ("self", "there are no classes: a step is a function of `ctx`"),
    ("Exception", "errors cannot be raised as values: write fail(\"what is wrong\")"),
    ("ValueError", "errors cannot be raised as values: write fail(\"what is wrong\")"),
    ("defaultdict", "write d.setdefault(key, [])"),
    ("OrderedDict", "every dict keeps its order: write {}"),
    ("namedtuple", "write struct(a = 1) or record(…)"),
    ("true", "write True"),
    ("false", "write False"),
    ("null", "write None"),
    ("none", "write None"),
    ("nil", "write None"),
];

/// A method that values have in Python.
pub(super) const ATTRIBUTES: &[(&str, &str)] = &[
    ("sort", "write sorted(x)"),
    ("copy", "write list(x) or dict(x)"),
    ("zfill", "write pad(n, 3), with load(\"@stdlib//text.star\", \"pad\")"),
    ("ljust", "write pad(text, 20, fill = \" \", left = False), with load(\"@stdlib//text.star\", \"pad\")"),
    ("rjust", "write pad(text, 20, fill = \" \"), with load(\"@stdlib//text.star\", \"pad\")"),
    ("center", "write pad(text, 20, fill = \" \"), with load(\"@stdlib//text.star\", \"pad\")"),
    ("encode", "texts need no encoding here"),
    ("decode", "texts need no decoding here"),
    ("iteritems", "write x.items()"),
    ("itervalues", "write x.values()"),
    ("has_key", "write key in x"),
    ("casefold", "write x.lower()"),
    ("isnumeric", "write x.isdigit()"),
    ("isdecimal", "write x.isdigit()"),
    ("format_map", "write x.format(**values)"),
    ("reverse", "write reversed(x)"),
    ("returncode", "the exit code of a command is `.rc`; `.ok` says whether it succeeded"),
    ("exitcode", "the exit code of a command is `.rc`; `.ok` says whether it succeeded"),
    ("exit_code", "the exit code of a command is `.rc`; `.ok` says whether it succeeded"),
    ("access", "write the lock itself, lock.shared(1) or lock.exclusive()"),
];

/// What the first line of every Buildbot configuration calls for.
const MASTER_CFG: &str = "this is a master.cfg of Buildbot, and nothing is imported here: docs/guides/from-buildbot.md says what to write instead of each name";

/// Words at the beginning of a statement.
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("while", "there is no `while`: use `for` over a `range`"),
    ("class", "there are no classes: use `struct(...)` or functions"),
    ("from buildbot", MASTER_CFG),
    ("import buildbot", MASTER_CFG),
    ("import", "there is no `import`: write load(\"lib/file.star\", \"name\")"),
    ("from", "there is no `import`: write load(\"lib/file.star\", \"name\")"),
    ("try", "errors cannot be caught: check first, or look at a result's `.ok`"),
    ("except", "errors cannot be caught: check first, or look at a result's `.ok`"),
    ("finally", "errors cannot be caught; a step with always_run = True runs whatever happened"),
    ("raise", "write fail(\"what is wrong\")"),
    ("assert", "write: if not condition: fail(\"what is wrong\")"),
    ("with", "there is no `with`: nothing here needs closing"),
    ("del", "there is no `del`: use the dict's or list's `pop`"),
    ("global", "globals cannot be changed from within a function: return the value"),
    ("nonlocal", "names of the outer function cannot be changed: return the value, or change a list or dict"),
    ("yield", "there are no generators: return a list"),
    ("async", "there is no `async`: steps in ctx.parallel([...]) run at the same time"),
    ("await", "there is no `await`: ctx.run(...) already waits"),
    ("match", "there is no `match`: write if and elif, or look the value up in a dict"),
    ("switch", "there is no `switch`: write if and elif, or look the value up in a dict"),
    ("@", "there are no decorators: call the function with the other one"),
    ("//", "comments begin with `#`"),
    ("/*", "comments begin with `#`"),
    ("else if", "write `elif`"),
];

/// A piece of a line, at or around the place where the parser stopped.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What the line looks like.
    pub(super) line: &'static str,
    pub(super) write: &'static str,
    /// A line that shows it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the table's test writes it"))]
    pub(super) example: &'static str,
}

/// Looked at in this order, in the line in which the parser stopped.
pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        line: r"^\s*\w+\s*=\s*BuildmasterConfig\s*=",
        write: "there is no dict to fill: call master(…), worker(…), builder(…) and so on at top level",
        example: "c = BuildmasterConfig = {}",
    },
    Pattern {
        line: r"^\s*[\w.\[\]]+\s*=\s*[\w.\[\]]+\s*=[^=]",
        write: "an assignment has one name: write a = 1, and b = a on the next line",
        example: "a = b = 1",
    },
    Pattern {
        line: r"\bis\b",
        write: "write `==`, for None too: `x == None`; `is not` is `!=`",
        example: "x = 1 if a is None else 2",
    },
    Pattern { line: r":=", write: "there is no `:=`: assign on a line of its own", example: "x = [y := 1]" },
    Pattern {
        line: r"\blambda\b[^:]*:\s*(return|if|for|raise|assert|pass)\b",
        write: "a lambda is one expression: write a function with `def`",
        example: "x = lambda a: return a",
    },
    Pattern {
        line: r"[(,]\s*[^\[\]{}]*\bfor\b.*\bin\b",
        write: "put the comprehension into brackets: [x for x in list]",
        example: "x = any(y for y in [1])",
    },
    Pattern {
        line: r"\{\s*\*\*|,\s*\*\*[^,]*\}",
        write: "join dicts with `|`: a | {\"x\": 1}",
        example: "x = {**{}, 'b': 1}",
    },
    Pattern { line: r"[\[(,]\s*\*[\w\[]", write: "join lists with `+`: a + [\"b\"]", example: "x = [*[1], 2]" },
    Pattern { line: r"\*\*", write: "there is no `**`: write x * x, or a loop", example: "x = 2 ** 8" },
    Pattern {
        line: r#"\{[^{}:]*["']\s*=[^=]"#,
        write: "an entry of a dict is `key: value`: write `:` for `=`",
        example: "x = {'A'='b'}",
    },
    Pattern {
        line: r"\{[^{}:]*,[^{}:]*\}|\{\s*[^{}:,]+\s*\}",
        write: "sets are made of lists: set([\"a\", \"b\"])",
        example: "x = {'a', 'b'}",
    },
    Pattern { line: r"\+\+|--", write: "write x += 1", example: "x++" },
    Pattern { line: r"&&", write: "write `and`", example: "x = 1 && 2" },
    Pattern { line: r"\|\|", write: "write `or`", example: "x = 1 || 2" },
    Pattern { line: r"^\s*print\s+\S", write: "write print(\"…\")", example: "print 'x'" },
    Pattern { line: r"\?.*:", write: "write a if condition else b", example: "x = 1 ? 2 : 3" },
    Pattern { line: r"(^|[^=!<>])!\s*\w", write: "write `not`", example: "x = !1" },
    Pattern { line: r"<>", write: "write `!=`", example: "x = 1 <> 2" },
    Pattern { line: r"[<>]=?[^<>=]+[<>]=?", write: "write two comparisons: a < b and b < c", example: "x = 1 < 2 < 3" },
    Pattern { line: r"\belse\s+if\b", write: "write `elif`", example: "x = 1\nif x:\n    pass\nelse if x:\n    pass" },
    Pattern {
        line: r"\byield\b",
        write: "there are no generators: return a list",
        example: "def f():\n    x = yield 1",
    },
    Pattern {
        line: r"\bawait\b",
        write: "there is no `await`: ctx.run(...) already waits",
        example: "def f(ctx):\n    x = await ctx.run('x')",
    },
    Pattern {
        line: r"\bimport\b",
        write: "there is no `import`: write load(\"lib/file.star\", \"name\")",
        example: "x = 1; import os",
    },
    Pattern { line: r"//[^/]", write: "comments begin with `#`", example: "x = 1 // one = 1" },
];
