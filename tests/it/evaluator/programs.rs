//! Makes up functions: ordinary ones, and those that want to hurt. The seed says all.

/// One of so many programs wants to hurt. Most of those take all the time that they may, so they decide how many programs
/// an hour tries; the others take what people's scripts take.
const ORDINARY: u64 = 16;
/// Rounds of an ordinary loop, at most. Loops inside of loops multiply.
const ROUNDS_MAX: u64 = 40;

/// Draws numbers (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// A number of any size, small ones more often.
    fn size(&mut self, max: u64) -> u64 {
        let part = 1 + self.below(max);
        1 + self.below(part)
    }
}

/// One function `NAME(ctx)`.
pub fn function(name: &str, chance: &mut Chance) -> String {
    let lines = match chance.below(ORDINARY) {
        0 => adversarial(chance),
        _ => statements(chance, 1),
    };
    format!("def {name}(ctx):\n    x = 1\n    t = \"ab\"\n    l = [1]\n    d = {{}}\n{lines}    return None\n")
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

/// Some statements; never none.
fn statements(chance: &mut Chance, depth: usize) -> String {
    (0..=chance.below(4)).map(|_| statement(chance, depth)).collect()
}

fn statement(chance: &mut Chance, depth: usize) -> String {
    let pad = indent(depth);
    match chance.below(if depth > 4 { 8 } else { 11 }) {
        0 => format!("{pad}x = {}\n", expression(chance, 0)),
        1 => format!("{pad}t = str({})\n", expression(chance, 0)),
        2 => format!("{pad}l = [{}, {}]\n", expression(chance, 0), expression(chance, 0)),
        3 => format!("{pad}d[str({})] = x\n", expression(chance, 0)),
        4 => format!("{pad}l.append({})\n", expression(chance, 0)),
        5 => format!("{pad}ctx.log(\"out\", str({})[:1000])\n", expression(chance, 0)),
        6 => format!("{pad}ctx.set_property(\"p\", str({})[:100])\n", expression(chance, 0)),
        7 => format!("{pad}ctx.run({}, check = False)\n", text(chance)),
        8 => format!("{pad}for i in range({}):\n{}", chance.size(ROUNDS_MAX), statements(chance, depth + 1)),
        9 => format!("{pad}if {}:\n{}", expression(chance, 0), statements(chance, depth + 1)),
        _ => format!("{pad}for i in l:\n{}{}    break\n", statements(chance, depth + 1), pad),
    }
}

fn expression(chance: &mut Chance, depth: u32) -> String {
    if depth > 3 {
        return chance.pick(&["x", "t", "l", "d", "1", "None", "True", "len(l)"]).to_owned();
    }
    let part = |chance: &mut Chance| expression(chance, depth + 1);
    match chance.below(14) {
        0 => chance.size(u64::from(u32::MAX)).to_string(),
        1 => text(chance),
        2 => chance.pick(&["x", "t", "l", "d"]).to_owned(),
        3 => {
            format!("({} {} {})", part(chance), chance.pick(&["+", "-", "*", "%", "//", "|", "&", "<<"]), part(chance))
        }
        4 => format!("({} {} {})", part(chance), chance.pick(&["==", "<", "in", "and", "or"]), part(chance)),
        5 => format!("str({})", part(chance)),
        6 => format!("[{}]", part(chance)),
        7 => format!("({}, {})", part(chance), part(chance)),
        8 => format!("{{{}: {}}}", text(chance), part(chance)),
        9 => format!("[{} for i in range({})]", part(chance), chance.size(ROUNDS_MAX)),
        10 => format!("({} if {} else {})", part(chance), part(chance), part(chance)),
        11 => format!("{}.split({})", text(chance), text(chance)),
        12 => format!("sorted([str(e) for e in [{}, {}]])", part(chance), part(chance)),
        _ => format!("(lambda a: a)({})", part(chance)),
    }
}

/// A text in source form, some with letters that bite.
fn text(chance: &mut Chance) -> String {
    let odd =
        ["ü", "\\u00ad", "\\U0001F600", "\\t", "{", "%s", "%(prop:x)s", "\\\\", "e\\u0301", "\\u202e", "\\x00", "'"];
    let parts: String = (0..=chance.below(4)).map(|_| chance.pick(&odd)).collect();
    format!("\"a{parts}\"")
}

/// One thing that hurts.
fn adversarial(chance: &mut Chance) -> String {
    let many = chance.size(300_000);
    let some = chance.size(3_000);
    let body = match chance.below(24) {
        0 => {
            format!("x = 1{}", chance.pick(&[" + 1", " * 1", " or 1", " and 1", " - 1", " % 2"]).repeat(some as usize))
        }
        1 => format!("x = {}1", chance.pick(&["not ", "-", "+"]).repeat(some as usize)),
        2 => format!("x = {}0", "1 if 0 else ".repeat(some as usize)),
        3 => format!("for _ in range({many}):\n        l = [l]\n    t = str(l)"),
        4 => format!("for _ in range({many}):\n        l = (l, 1)\n    x = l == l"),
        5 => format!("for _ in range({many}):\n        d = {{\"a\": d}}\n    t = json.encode(d)"),
        6 => format!("for _ in range({many}):\n        x = struct(x = x)\n    t = str(x)"),
        7 => format!("t = (\"x\" * {many}).join([\"a\"] * {many})"),
        8 => format!("t = (\"a\" * {many}).replace(\"a\", \"b\" * {many})"),
        9 => format!("for _ in range({}):\n        t = t.replace(\"a\", \"aab\")", chance.size(64)),
        10 => format!("for _ in range({}):\n        x = x * 3 * x", chance.size(64)),
        11 => format!("x = 1 << {}", chance.size(1_000_000)),
        12 => format!("x = int(\"9\" * {many})"),
        13 => format!("l *= {many}\n    l *= {some}"),
        14 => format!("t *= {many}\n    t *= {some}"),
        15 => format!("for _ in range({}):\n        l += l", chance.size(64)),
        16 => format!("for i in range({many}):\n        regex.match(\"a\" * 50 + str(i), \"b\")"),
        17 => {
            format!("t = \"ab\" * {many}\n    for i in range({some}):\n        regex.search(\"(a|b)*c\" + str(i), t)")
        }
        18 => format!("for i in range({many}):\n        glob.match(\"**/*\" + str(i) + \"?\", \"a/b/c\")"),
        19 => format!("x = [[[y for y in range({some})] for z in range({some})] for w in range({some})]"),
        20 => "def g(n):\n        return g(n + 1)\n    x = g(0)".to_owned(),
        21 => format!("x = {{i: i for i in range({many})}}\n    l = [dict(x) for _ in range({some})]"),
        22 => format!("t = \"%s\" * {some} % tuple([\"y\" * {some}] * {some})"),
        _ => format!("for i in range({many}):\n        ctx.log(\"out\", \"x\" * 1000)"),
    };
    format!("    {body}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_says_all() {
        let made = |seed| (0..50).map(|_| function("f", &mut Chance::new(seed))).collect::<Vec<_>>();
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
