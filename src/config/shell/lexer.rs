//! What surrounds places in a line for a POSIX shell.
//!
//! The line is a sequence of characters and places. A place is refused wherever a value could become syntax whatever its
//! quoting, and wherever shells (`dash`, `bash`) may read the text before it differently: then the lexer has a *doubt* and
//! refuses all that follows. So a mistake of the lexer on an exotic construct costs an error message, never an execution.

use super::nested;
use super::word::Word;
use crate::model::Quote;

/// A character of the line, or the place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Char(char),
    Place,
}

/// What surrounds a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) quote: Quote,
    /// A harmless value may stand here without quotes of its own.
    pub(super) plain: bool,
}

/// What surrounds each place of a line; for places that cannot be filled in, what they are inside of.
pub(super) fn contexts(items: &[Item]) -> Vec<Result<Context, &'static str>> {
    let mut lexer = Lexer { items, ..Lexer::default() };
    lexer.commands(false);
    lexer.end_heredocs();
    lexer.places
}

/// Whether a command of the line executes the line's standard input, or what is made of it.
pub(super) fn reads_code(items: &[Item]) -> bool {
    let mut lexer = Lexer { items, ..Lexer::default() };
    lexer.commands(false);
    lexer.reads_code
}

const HERE_DOCUMENT: &str = "in a here-document";
const OPEN_QUOTE: &str = "in quotes that do not end";
const DOUBT: &str = "after something that shells read differently";

/// Words after which a command begins.
const LEADING: [&str; 13] = ["if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "time"];

/// What is open around the commands that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Paren,
    /// `case`: its word is not read yet; then `in` is awaited; then patterns and bodies take turns.
    Subject,
    In,
    Patterns,
    Body,
}

/// A here-document whose text begins after the next line end.
#[derive(Clone, Debug)]
struct HereDoc {
    end: String,
    strips_tabs: bool,
    quoted: bool,
}

#[derive(Default)]
struct Lexer<'i> {
    items: &'i [Item],
    at: usize,
    places: Vec<Result<Context, &'static str>>,
    /// What the places here are inside of that makes them impossible, outermost first.
    inside: Vec<&'static str>,
    doubt: bool,
    here_docs: Vec<HereDoc>,
    /// The words of the simple command so far.
    command: Vec<Word>,
    /// The first place of the pipeline, once something is piped.
    piped_from: Option<usize>,
    /// The first place of the simple command.
    command_from: usize,
    /// The simple command has an input of its own.
    redirected: bool,
    /// A simple command without one executes its input.
    reads_code: bool,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<Item> {
        self.items.get(self.at).copied()
    }

    fn char(&self) -> Option<char> {
        self.char_at(0)
    }

    fn char_at(&self, ahead: usize) -> Option<char> {
        match self.items.get(self.at + ahead) {
            Some(Item::Char(c)) => Some(*c),
            Some(Item::Place) | None => None,
        }
    }

    /// Reads a place here.
    fn place(&mut self, context: Result<Context, &'static str>) -> usize {
        self.at += 1;
        let refused = self.inside.first().copied().or(self.doubt.then_some(DOUBT));
        self.places.push(refused.map_or(context, Err));
        self.places.len() - 1
    }

    fn refuse(&mut self, place: usize, why: &'static str) {
        if self.places[place].is_ok() {
            self.places[place] = Err(why);
        }
    }

    /// Refuses the places since the one of this number.
    fn refuse_since(&mut self, first: usize, why: &'static str) {
        (first..self.places.len()).for_each(|place| self.refuse(place, why));
    }

    /// Reads something in which no place can be filled in.
    fn within(&mut self, what: &'static str, read: impl FnOnce(&mut Self)) {
        self.inside.push(what);
        read(self);
        self.inside.pop();
    }

    /// Commands up to the end, or up to the parenthesis that ends a nested list.
    fn commands(&mut self, nested: bool) {
        let outer = std::mem::take(&mut self.command);
        let mut open: Vec<Open> = Vec::new();
        while let Some(item) = self.peek() {
            match item {
                Item::Char(' ' | '\t') => self.at += 1,
                Item::Char('\\') if self.char_at(1) == Some('\n') => self.at += 2,
                Item::Char('\n') => {
                    self.at += 1;
                    self.end_command();
                    self.here_documents();
                }
                Item::Char('#') => self.comment(),
                Item::Char(')') if nested && open.is_empty() => break,
                Item::Char(c) if ";&|()".contains(c) => self.control(c, &mut open),
                Item::Char('<' | '>') => self.redirection(),
                Item::Char(_) | Item::Place => self.command_word(&mut open),
            }
        }
        self.end_command();
        self.command = outer;
        if nested {
            // Here-documents whose text would begin outside.
            self.doubt |= !self.here_docs.is_empty() || self.char() != Some(')');
            self.at += 1;
        }
    }

    fn control(&mut self, c: char, open: &mut Vec<Open>) {
        let at_start = self.command.is_empty();
        self.at += 1;
        let is_pipe = c == '|' && self.char() != Some('|') && self.char_at_back(2) != Some('|');
        match (c, open.last()) {
            ('(' | '|', Some(Open::Patterns)) => return,
            ('(', _) => {
                // bash reads `((` as arithmetic.
                self.doubt |= at_start && self.char() == Some('(');
                open.push(Open::Paren);
            }
            (')', Some(Open::Patterns)) => {
                open.pop();
                open.push(Open::Body);
            }
            (')', Some(Open::Paren)) => drop(open.pop()),
            (')', _) => self.doubt = true,
            (';', Some(Open::Body)) if matches!(self.char(), Some(';' | '&')) => {
                self.at += 1;
                open.pop();
                open.push(Open::Patterns);
            }
            _ => {}
        }
        // Behind a group of commands all that stands before may come through the pipe.
        let from = self.piped_from.unwrap_or(if at_start { 0 } else { self.command_from });
        self.end_command();
        if is_pipe {
            self.piped_from = Some(from);
        }
    }

    fn end_command(&mut self) {
        let words = std::mem::take(&mut self.command);
        for (place, why) in nested::refused(&words) {
            self.refuse(place, why);
        }
        let reads_code = nested::reads_code(&words);
        if let Some(first) = self.piped_from.filter(|_| reads_code) {
            self.refuse_since(first, nested::SHELL_WORD);
        }
        let redirected = std::mem::take(&mut self.redirected);
        self.reads_code |= reads_code && !redirected;
        if !words.is_empty() {
            self.piped_from = None;
        }
        self.command_from = self.places.len();
    }

    /// The character so far back.
    fn char_at_back(&self, back: usize) -> Option<char> {
        match self.items.get(self.at.checked_sub(back)?) {
            Some(Item::Char(c)) => Some(*c),
            Some(Item::Place) | None => None,
        }
    }

    fn redirection(&mut self) {
        let first = self.char();
        self.at += 1;
        // `<&` copies a descriptor, which may be that of the input.
        self.redirected |= first == Some('<') && !matches!(self.char(), Some('&' | '('));
        match (first, self.char(), self.char_at(1)) {
            (Some('<'), Some('<'), Some('<')) => {
                self.at += 2;
                self.blanks();
                return self.within(HERE_DOCUMENT, |lexer| drop(lexer.word()));
            }
            (Some('<'), Some('<'), _) => {
                self.at += 1;
                return self.here_document();
            }
            (_, Some('('), _) => {
                self.at += 1;
                return self.within("in `<(…)`", |lexer| lexer.commands(true));
            }
            (_, Some('<' | '>' | '&' | '|'), _) => self.at += 1,
            _ => {}
        }
        self.blanks();
        self.word();
    }

    fn blanks(&mut self) {
        while matches!(self.char(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    fn comment(&mut self) {
        self.within("in a comment", |lexer| {
            while let Some(item) = lexer.peek().filter(|item| *item != Item::Char('\n')) {
                match item {
                    Item::Place => drop(lexer.place(Err(""))),
                    Item::Char(_) => lexer.at += 1,
                }
            }
        });
    }

    /// A word of a command, or one that steers.
    fn command_word(&mut self, open: &mut Vec<Open>) {
        let before = self.at;
        let word = self.word();
        if self.at == before {
            // Nothing here begins a word; never stand still.
            self.at += 1;
            return;
        }
        let bare = if word.quoted || !word.places.is_empty() { "" } else { word.text.as_str() };
        let leads = self.command.is_empty();
        match open.last() {
            Some(Open::Subject) => Self::turn(open, Open::In),
            Some(Open::In) if bare == "in" => Self::turn(open, Open::Patterns),
            Some(Open::Patterns) if bare == "esac" => drop(open.pop()),
            Some(Open::In | Open::Patterns) => {}
            Some(Open::Body) if leads && bare == "esac" => drop(open.pop()),
            _ if leads && bare == "case" => open.push(Open::Subject),
            _ if leads && LEADING.contains(&bare) => {}
            _ => {
                // What stands in `[[ … ]]` has a grammar of its own.
                self.doubt |= bare == "[[";
                self.command.push(word);
            }
        }
    }

    fn turn(open: &mut Vec<Open>, next: Open) {
        open.pop();
        open.push(next);
    }

    /// Reads a word, which ends before a blank or an operator.
    fn word(&mut self) -> Word {
        let mut word = Word { leads: self.command.is_empty(), ..Word::default() };
        // A harmless value may stand bare if it cannot merge with a variable's name before it.
        let mut after_name = false;
        while let Some(item) = self.peek() {
            let was_after_name = std::mem::replace(&mut after_name, false);
            match item {
                Item::Place => {
                    let plain = !word.leads && !was_after_name && self.is_calm_at(1);
                    let place = self.place(Ok(Context { quote: Quote::Bare, plain }));
                    word.take(place);
                }
                Item::Char(c) if " \t\n;&|<>()".contains(c) => break,
                Item::Char('\\') => self.escaped(&mut word),
                Item::Char('\'') => self.single(&mut word),
                Item::Char('"') => self.double(&mut word),
                Item::Char('`') => {
                    word.quoted = true;
                    self.backticks();
                }
                Item::Char('$') => after_name = self.dollar(&mut word, false),
                Item::Char(c) => {
                    word.text.push(c);
                    self.at += 1;
                }
            }
        }
        word
    }

    /// Whether what follows cannot change the meaning of a bare word before it.
    fn is_calm_at(&self, ahead: usize) -> bool {
        match self.items.get(self.at + ahead) {
            None => true,
            Some(Item::Place) => false,
            Some(Item::Char(c)) => " \t\n;|/.,:-".contains(*c) || c.is_ascii_alphanumeric(),
        }
    }

    fn escaped(&mut self, word: &mut Word) {
        self.at += 1;
        match self.peek() {
            Some(Item::Place) => {
                let place = self.place(Err("after a backslash"));
                word.take(place);
            }
            Some(Item::Char(c)) => {
                self.at += 1;
                word.quoted = true;
                if c != '\n' {
                    word.text.push(c);
                }
            }
            None => {}
        }
    }

    fn single(&mut self, word: &mut Word) {
        let first = self.places.len();
        word.quoted = true;
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.refuse_since(first, OPEN_QUOTE),
                Some(Item::Place) => {
                    let place = self.place(Ok(Context { quote: Quote::Single, plain: true }));
                    word.take(place);
                }
                Some(Item::Char(c)) => {
                    self.at += 1;
                    if c == '\'' {
                        return;
                    }
                    word.text.push(c);
                }
            }
        }
    }

    fn double(&mut self, word: &mut Word) {
        let first = self.places.len();
        word.quoted = true;
        self.at += 1;
        let mut after_name = false;
        loop {
            let was_after_name = std::mem::replace(&mut after_name, false);
            match self.peek() {
                None => return self.refuse_since(first, OPEN_QUOTE),
                Some(Item::Place) => {
                    let context = Context { quote: Quote::Double, plain: !was_after_name };
                    let place = self.place(Ok(context));
                    word.take(place);
                }
                Some(Item::Char('"')) => {
                    self.at += 1;
                    return;
                }
                Some(Item::Char('\\')) => self.escaped(word),
                Some(Item::Char('`')) => self.backticks(),
                Some(Item::Char('$')) => after_name = self.dollar(word, true),
                Some(Item::Char(c)) => {
                    self.at += 1;
                    word.text.push(c);
                }
            }
        }
    }

    /// What a `$` begins. True after a variable's name, which a following letter would make longer.
    fn dollar(&mut self, word: &mut Word, in_double: bool) -> bool {
        self.at += 1;
        word.quoted = true;
        match self.peek() {
            Some(Item::Place) => {
                let place = self.place(Err("after a `$`"));
                word.take(place);
            }
            Some(Item::Char('(')) if self.char_at(1) == Some('(') => self.arithmetic(),
            Some(Item::Char('(')) => {
                self.at += 1;
                self.within("in `$(…)`", |lexer| lexer.commands(true));
            }
            Some(Item::Char('{')) => self.braces(in_double),
            Some(Item::Char('[')) => self.doubt = true, // arithmetic in bash, a letter elsewhere
            Some(Item::Char('\'')) if !in_double => self.ansi(),
            Some(Item::Char('"')) if !in_double => {
                let mut inner = Word::default();
                self.within("in `$\"…\"`", |lexer| lexer.double(&mut inner));
                word.text += &inner.text;
            }
            Some(Item::Char(c)) if c == '_' || c.is_ascii_alphabetic() => {
                while self.char().is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) {
                    self.at += 1;
                }
                return true;
            }
            Some(Item::Char(c)) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.at += 1;
                // `$1` and a digit: shells differ in whether that is `$1` or `$12`.
                return c.is_ascii_digit();
            }
            Some(Item::Char(_)) | None => word.text.push('$'),
        }
        false
    }

    /// `$((…))`, or a `$(…)` that begins with a parenthesis.
    fn arithmetic(&mut self) {
        let (start, first) = (self.at, self.places.len());
        self.at += 2;
        let mut depth = 2;
        while let Some(item) = self.peek().filter(|_| depth > 0) {
            match item {
                Item::Place => drop(self.place(Err("in `$((…))`"))),
                Item::Char(c) => {
                    self.doubt |= "'\"`#\\<".contains(c);
                    depth += match c {
                        '(' => 1,
                        ')' if depth == 2 && self.char_at(1) != Some(')') => break,
                        ')' => -1,
                        _ => 0,
                    };
                    self.at += 1;
                }
            }
        }
        self.refuse_since(first, "in `$((…))`");
        if depth > 0 {
            self.doubt = true;
            self.places.truncate(first);
            self.at = start + 1;
            self.within("in `$(…)`", |lexer| lexer.commands(true));
        }
    }

    /// `${…}`.
    fn braces(&mut self, in_double: bool) {
        self.at += 1;
        let mut inner = Word::default();
        self.within("in `${…}`", |lexer| {
            loop {
                match lexer.peek() {
                    None => {
                        lexer.doubt = true;
                        return;
                    }
                    Some(Item::Place) => drop(lexer.place(Err(""))),
                    Some(Item::Char('}')) => {
                        lexer.at += 1;
                        return;
                    }
                    Some(Item::Char('\\')) => lexer.escaped(&mut inner),
                    Some(Item::Char('`')) => lexer.backticks(),
                    Some(Item::Char('$')) => drop(lexer.dollar(&mut inner, in_double)),
                    Some(Item::Char(c @ ('\'' | '"'))) => {
                        // Within double quotes shells differ in what quotes mean here.
                        lexer.doubt |= in_double;
                        if in_double && c == '\'' {
                            lexer.at += 1;
                            continue;
                        }
                        if c == '"' { lexer.double(&mut inner) } else { lexer.single(&mut inner) }
                    }
                    Some(Item::Char(_)) => lexer.at += 1,
                }
            }
        });
    }

    /// `$'…'`, which not every shell knows.
    fn ansi(&mut self) {
        self.at += 1;
        self.within("in `$'…'`", |lexer| {
            while let Some(item) = lexer.peek() {
                match item {
                    Item::Place => drop(lexer.place(Err(""))),
                    Item::Char('\\') => {
                        // A shell that does not know it would end the quotes here.
                        lexer.doubt |= lexer.char_at(1) == Some('\'');
                        lexer.at += 1;
                        lexer.at += usize::from(lexer.char().is_some());
                    }
                    Item::Char(c) => {
                        lexer.at += 1;
                        if c == '\'' {
                            return;
                        }
                    }
                }
            }
        });
    }

    fn backticks(&mut self) {
        self.at += 1;
        self.within("in backticks", |lexer| {
            while let Some(item) = lexer.peek() {
                match item {
                    Item::Place => drop(lexer.place(Err(""))),
                    Item::Char('\\') => {
                        lexer.at += 1;
                        lexer.at += usize::from(lexer.char().is_some());
                    }
                    Item::Char(c) => {
                        lexer.at += 1;
                        if c == '`' {
                            return;
                        }
                    }
                }
            }
            lexer.doubt = true;
        });
    }

    /// The end word of a here-document.
    fn here_document(&mut self) {
        let strips_tabs = self.char() == Some('-');
        self.at += usize::from(strips_tabs);
        self.blanks();
        let first = self.places.len();
        let word = self.word();
        self.refuse_since(first, HERE_DOCUMENT);
        // An end word with expansions in it, or over several lines, is nobody's.
        self.doubt |= word.text.is_empty() || word.text.contains(['$', '\n']) || self.places.len() > first;
        self.here_docs.push(HereDoc { end: word.text, strips_tabs, quoted: word.quoted });
    }

    /// The texts of the here-documents that the line before announced.
    fn here_documents(&mut self) {
        let docs = std::mem::take(&mut self.here_docs);
        self.within(HERE_DOCUMENT, |lexer| docs.iter().for_each(|doc| lexer.here_text(doc)));
    }

    fn here_text(&mut self, doc: &HereDoc) {
        while self.at < self.items.len() {
            let mut line = String::new();
            let first = self.places.len();
            while let Some(item) = self.peek().filter(|item| *item != Item::Char('\n')) {
                match item {
                    Item::Place => drop(self.place(Err(""))),
                    Item::Char(c) => {
                        line.push(c);
                        self.at += 1;
                    }
                }
            }
            self.at += 1;
            let shown = if doc.strips_tabs { line.trim_start_matches('\t') } else { &line };
            if shown == doc.end && self.places.len() == first {
                return;
            }
            // A line end that is escaped may join this line with the one that ends the text.
            self.doubt |= !doc.quoted && line.ends_with('\\');
        }
    }

    /// Here-documents without a text.
    fn end_heredocs(&mut self) {
        self.here_docs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What surrounds each `@` of a line.
    fn around(line: &str) -> Vec<String> {
        let item = |c: char| if c == '@' { Item::Place } else { Item::Char(c) };
        let items: Vec<Item> = line.chars().map(item).collect();
        let found = contexts(&items);
        assert_eq!(found.len(), line.matches('@').count(), "each place of {line:?} is told");
        let word = |context: Result<Context, &str>| match context {
            Ok(context) => format!("{:?}", context.quote).to_lowercase(),
            Err(why) => why.to_owned(),
        };
        found.into_iter().map(word).collect()
    }

    #[test]
    fn quotes_around_a_place_are_told() {
        for (line, wanted) in [
            ("echo @", vec!["bare"]),
            ("echo '@'", vec!["single"]),
            ("echo \"@\"", vec!["double"]),
            ("a'b'@\"c\"'@'", vec!["bare", "single"]),
            ("echo \"it's @\" '\"' @", vec!["double", "bare"]),
            ("echo \\' @ \\\" @", vec!["bare", "bare"]),
            ("echo \"a\\\"@\"", vec!["double"]),
            ("X=@ make > @ 2>&1", vec!["bare", "bare"]),
            ("echo ${x:-'}'} @", vec!["bare"]),
            ("echo ${x#\"}\"} @ $x@", vec!["bare", "bare"]),
            ("echo `echo \"` @", vec!["bare"]),
            ("echo $(echo ')' # it's\n) '@'", vec!["single"]),
            ("echo $(case x in a) echo ')';; (b) ;; esac) '@'", vec!["single"]),
            ("echo $((1 + (2))) '@'", vec!["single"]),
            ("case @ in x) echo @;; *) echo '@';; esac; @", vec!["bare", "bare", "single", "bare"]),
            ("cat <<EOF\nit's\nEOF\necho '@'", vec!["single"]),
            ("cat <<-'E F' @\n\tit's\n\tE F\necho @", vec!["bare", "bare"]),
            ("echo a#@ # it's\necho '@'", vec!["bare", "single"]),
            ("cat <<<'x' '@'", vec!["single"]),
            ("f() { echo @; }; f", vec!["bare"]),
            ("(cd @ && make) | tee @", vec!["bare", "bare"]),
            ("echo \\\n@", vec!["bare"]),
            ("echo @ | tee f || sh", vec!["bare"]),
            ("echo @; sh; sh build.sh @ | sh2", vec!["bare", "bare"]),
            ("if [ @ = x ]; then echo \"@\"; fi", vec!["bare", "double"]),
        ] {
            assert_eq!(around(line), wanted, "{line}");
        }
    }

    #[test]
    fn places_where_a_value_would_be_syntax_are_refused() {
        for (line, wanted) in [
            ("echo $(@)", "in `$(…)`"),
            ("echo \"$(cat '@')\"", "in `$(…)`"),
            ("echo `@`", "in backticks"),
            ("echo \"`@`\"", "in backticks"),
            ("echo $((@ + 1))", "in `$((…))`"),
            ("cat <<EOF\n@\nEOF", HERE_DOCUMENT),
            ("cat <<'EOF'\n@\nEOF", HERE_DOCUMENT),
            ("cat <<@\nx\n", HERE_DOCUMENT),
            ("make # @", "in a comment"),
            ("echo ${x:-@}", "in `${…}`"),
            ("echo \"${x:-@}\"", "in `${…}`"),
            ("echo $'@'", "in `$'…'`"),
            ("echo $\"@\"", "in `$\"…\"`"),
            ("echo \\@", "after a backslash"),
            ("echo \"\\@\"", "after a backslash"),
            ("echo $@", "after a `$`"),
            ("echo \"$@\"", "after a `$`"),
            ("echo 'x @", OPEN_QUOTE),
            ("echo \"x @", OPEN_QUOTE),
            ("diff <(cat @) y", "in `<(…)`"),
            ("bash <<< @", HERE_DOCUMENT),
            ("echo 'make @' | sh", nested::SHELL_WORD),
            ("echo @ | sed s/a/b/ | sudo bash -s", nested::SHELL_WORD),
            ("{ echo @; } | sh -x", nested::SHELL_WORD),
            ("printf %s @ |\n  ssh host", nested::SHELL_WORD),
        ] {
            assert_eq!(around(line), [wanted], "{line}");
        }
    }

    #[test]
    fn what_shells_read_differently_stops_the_lexer() {
        for line in [
            "((x = 1)); echo @",
            "[[ a < b ]] && echo @",
            "echo $'it\\'s' @",
            "echo \"${x:-'}\" @",
            "echo $((1) | cat) @",
            "echo ) @",
            "cat <<EOF\na\\\nEOF\nEOF\necho @",
            "echo $(cat <<EOF) @\nEOF\n",
        ] {
            assert_eq!(around(line), [DOUBT], "{line}");
        }
    }

    #[test]
    fn the_lexer_ends_on_any_text() {
        for line in ["", "$", "\\", "`", "$(", "$((", "${", "$'", "<<", "<", "((((", "case", "case x in", "&", "\"$("] {
            assert!(around(line).is_empty());
        }
    }
}
