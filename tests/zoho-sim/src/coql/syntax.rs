//! Queries as data, and as text again.

use std::fmt;

/// A column: a field, or a walk through lookups to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path(pub(crate) String);

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    /// A number, or an instant without quotes.
    Bare(String),
    Boolean(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connective {
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Compare(Path, Comparison, Literal),
    Like(Path, bool, String),
    In(Path, bool, Vec<Literal>),
    Between(Path, bool, Literal, Literal),
    Null(Path, bool),
    Pair(Box<Condition>, Connective, Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selected {
    pub(crate) function: Option<Function>,
    /// The function as it was written, which is how the reply names it.
    pub(crate) written: String,
    pub(crate) path: Path,
    pub(crate) alias: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) columns: Vec<Selected>,
    pub(crate) module: String,
    pub(crate) view: Option<String>,
    pub(crate) condition: Condition,
    pub(crate) group_by: Vec<Path>,
    /// Columns or aliases, and whether ascending.
    pub(crate) order_by: Vec<(Path, bool)>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

impl Condition {
    /// How many single conditions it has.
    pub(crate) fn criteria(&self) -> usize {
        match self {
            Self::Pair(left, _, right) => left.criteria() + right.criteria(),
            _ => 1,
        }
    }

    /// The longest list of values.
    pub(crate) fn longest_list(&self) -> usize {
        match self {
            Self::In(_, _, list) => list.len(),
            Self::Pair(left, _, right) => left.longest_list().max(right.longest_list()),
            _ => 0,
        }
    }
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

impl Function {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains("->") {
            write!(formatter, "'{}'", self.0)
        } else {
            formatter.write_str(&self.0)
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(&quoted(text)),
            Self::Bare(text) => formatter.write_str(text),
            Self::Boolean(value) => write!(formatter, "{value}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "not " } else { "" };
        match self {
            Self::Compare(path, comparison, literal) => {
                write!(formatter, "{path} {} {literal}", comparison.symbol())
            }
            Self::Like(path, negated, pattern) => {
                write!(formatter, "{path} {}like {}", not(negated), quoted(pattern))
            }
            Self::In(path, negated, list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(formatter, "{path} {}in ({})", not(negated), list.join(", "))
            }
            Self::Between(path, negated, low, high) => {
                write!(formatter, "{path} {}between {low} and {high}", not(negated))
            }
            Self::Null(path, negated) => write!(formatter, "{path} is {}null", not(negated)),
            Self::Pair(left, connective, right) => {
                let word = if *connective == Connective::And {
                    "and"
                } else {
                    "or"
                };
                write!(formatter, "({left} {word} {right})")
            }
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let text = match column.function {
                    Some(_) => format!("{}({})", column.written, column.path),
                    None => column.path.to_string(),
                };
                match &column.alias {
                    Some(alias) => format!("{text} as {alias}"),
                    None => text,
                }
            })
            .collect();
        write!(
            formatter,
            "select {} from {}",
            columns.join(", "),
            self.module
        )?;
        if let Some(view) = &self.view {
            write!(formatter, "#{view}")?;
        }
        write!(formatter, " where {}", self.condition)?;
        if !self.group_by.is_empty() {
            let paths: Vec<String> = self.group_by.iter().map(ToString::to_string).collect();
            write!(formatter, " group by {}", paths.join(", "))?;
        }
        if !self.order_by.is_empty() {
            let keys: Vec<String> = self
                .order_by
                .iter()
                .map(|(path, ascending)| {
                    format!("{path} {}", if *ascending { "asc" } else { "desc" })
                })
                .collect();
            write!(formatter, " order by {}", keys.join(", "))?;
        }
        if let Some(limit) = self.limit {
            write!(formatter, " limit {limit}")?;
            if self.offset > 0 {
                write!(formatter, " offset {}", self.offset)?;
            }
        }
        Ok(())
    }
}
