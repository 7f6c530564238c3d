//! Text to query.

use super::syntax::{Comparison, Condition, Connective, Function, Literal, Path, Query, Selected};
use super::{
    AGGREGATES, COLUMNS, CRITERIA, GROUP, LIST, NESTING, ORDER, REACH, ROWS, limit_exceeded,
    syntax_error,
};
use crate::request::Refusal;
use serde_json::json;
use winnow::ascii::{Caseless, digit1, multispace0};
use winnow::combinator::{
    alt, cut_err, delimited, eof, not, opt, peek, preceded, repeat, separated, terminated,
};
use winnow::prelude::*;
use winnow::token::{any, none_of, one_of, take_while};

type Input<'i> = &'i str;

/// Reads a query and checks Zoho's limits on its size.
pub(crate) fn parse(text: &str) -> Result<Query, Refusal> {
    nesting(text)?;
    let mut rest = text;
    let query = terminated(query, (multispace0, opt(';'), multispace0, eof))
        .parse_next(&mut rest)
        .map_err(|_| syntax_error(rest))?;
    limits(&query)?;
    Ok(query)
}

/// Reads a condition on its own.
pub(crate) fn parse_condition(text: &str) -> Result<Condition, Refusal> {
    nesting(text)?;
    let mut rest = text;
    terminated(preceded(multispace0, condition), (multispace0, eof))
        .parse_next(&mut rest)
        .map_err(|_| syntax_error(rest))
}

/// Refuses brackets within brackets beyond every sense, because reading goes a level deeper with each.
fn nesting(text: &str) -> Result<(), Refusal> {
    let (mut depth, mut in_quotes) = (0_usize, false);
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' if in_quotes => drop(rest.next()),
            '\'' => in_quotes = !in_quotes,
            '(' if !in_quotes => depth += 1,
            ')' if !in_quotes => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING {
            return Err(syntax_error(rest.as_str()));
        }
    }
    Ok(())
}

fn limits(query: &Query) -> Result<(), Refusal> {
    let aggregates = query
        .columns
        .iter()
        .filter(|column| column.function.is_some())
        .count();
    for (what, size, limit) in [
        ("select columns", query.columns.len(), COLUMNS),
        ("criteria", query.condition.criteria(), CRITERIA),
        ("in values", query.condition.longest_list(), LIST),
        ("order by columns", query.order_by.len(), ORDER),
        ("group by columns", query.group_by.len(), GROUP),
        ("aggregates", aggregates, AGGREGATES),
        ("rows", query.limit.unwrap_or(0), ROWS),
        (
            "rows in reach",
            query.limit.unwrap_or(0).saturating_add(query.offset),
            REACH,
        ),
    ] {
        if size > limit {
            return Err(limit_exceeded(what, limit));
        }
    }
    if query.limit == Some(0) {
        return Err(Refusal::new(400, "INVALID_DATA", "invalid data")
            .details(json!({ "clause": "limit", "expected_data_type": "positive integer" })));
    }
    let mut aliases: Vec<&String> = query
        .columns
        .iter()
        .filter_map(|column| column.alias.as_ref())
        .collect();
    aliases.sort();
    if let Some(twice) = aliases
        .windows(2)
        .find(|pair| pair.first() == pair.last())
        .and_then(|pair| pair.first())
    {
        return Err(
            Refusal::new(400, "DUPLICATE_ALIAS", "the alias is used twice")
                .details(json!({ "alias": twice })),
        );
    }
    let mut seen = std::collections::HashSet::new();
    for column in query.columns.iter().filter(|column| column.alias.is_none()) {
        if !seen.insert((&column.path, column.function.map(Function::name))) {
            return Err(
                Refusal::new(400, "DUPLICATE_DATA", "the column is selected twice")
                    .details(json!({ "column_name": column.path.0 })),
            );
        }
    }
    Ok(())
}

fn word<'i>(
    word: &'static str,
) -> impl Parser<Input<'i>, (), winnow::error::ErrMode<winnow::error::ContextError>> {
    (multispace0, Caseless(word), not(one_of(name_character))).void()
}

fn name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$')
}

fn symbol<'i>(
    symbol: &'static str,
) -> impl Parser<Input<'i>, (), winnow::error::ErrMode<winnow::error::ContextError>> {
    (multispace0, symbol).void()
}

fn query(input: &mut Input<'_>) -> ModalResult<Query> {
    word("select").parse_next(input)?;
    let columns = separated(1.., selected, symbol(",")).parse_next(input)?;
    word("from").parse_next(input)?;
    let module = preceded(multispace0, name).parse_next(input)?;
    let view = opt(preceded('#', digit1))
        .parse_next(input)?
        .map(str::to_owned);
    word("where").parse_next(input)?;
    let condition = condition(input)?;
    let group_by = opt(preceded(
        (word("group"), word("by")),
        separated(1.., path, symbol(",")),
    ))
    .parse_next(input)?;
    let order_by = opt(preceded(
        (word("order"), word("by")),
        separated(1.., order_key, symbol(",")),
    ))
    .parse_next(input)?;
    let paging = opt(paging).parse_next(input)?;
    let (limit, offset) = paging.map_or((None, 0), |(limit, offset)| (Some(limit), offset));
    Ok(Query {
        columns,
        module,
        view,
        condition,
        group_by: group_by.unwrap_or_default(),
        order_by: order_by.unwrap_or_default(),
        limit,
        offset,
    })
}

/// `limit n`, `limit n offset m` or `limit m, n`.
fn paging(input: &mut Input<'_>) -> ModalResult<(usize, usize)> {
    let mut number =
        |input: &mut Input<'_>| preceded(multispace0, digit1.parse_to::<usize>()).parse_next(input);
    word("limit").parse_next(input)?;
    let first = number.parse_next(input)?;
    if opt(symbol(",")).parse_next(input)?.is_some() {
        let count = cut_err(number).parse_next(input)?;
        return Ok((count, first));
    }
    let offset = opt(preceded(word("offset"), cut_err(number))).parse_next(input)?;
    Ok((first, offset.unwrap_or(0)))
}

fn selected(input: &mut Input<'_>) -> ModalResult<Selected> {
    let plain = path.map(|path| (None, String::new(), path));
    let (function, written, path) = alt((aggregate, plain)).parse_next(input)?;
    let alias = opt(preceded(word("as"), preceded(multispace0, name))).parse_next(input)?;
    Ok(Selected {
        function,
        written,
        path,
        alias,
    })
}

fn aggregate(input: &mut Input<'_>) -> ModalResult<(Option<Function>, String, Path)> {
    multispace0.parse_next(input)?;
    let (function, written) = alt((
        Caseless("count").value(Function::Count),
        Caseless("sum").value(Function::Sum),
        Caseless("avg").value(Function::Avg),
        Caseless("min").value(Function::Min),
        Caseless("max").value(Function::Max),
    ))
    .with_taken()
    .parse_next(input)?;
    let everything = symbol("*").value(Path("id".to_owned()));
    let path = delimited(symbol("("), alt((path, everything)), symbol(")")).parse_next(input)?;
    Ok((Some(function), written.to_owned(), path))
}

fn order_key(input: &mut Input<'_>) -> ModalResult<(Path, bool)> {
    let path = path(input)?;
    let ascending =
        opt(alt((word("asc").value(true), word("desc").value(false)))).parse_next(input)?;
    Ok((path, ascending.unwrap_or(true)))
}

fn name(input: &mut Input<'_>) -> ModalResult<String> {
    take_while(1.., name_character)
        .map(str::to_owned)
        .parse_next(input)
}

fn path(input: &mut Input<'_>) -> ModalResult<Path> {
    multispace0.parse_next(input)?;
    let plain = |input: &mut Input<'_>| -> ModalResult<Path> {
        let keyword = alt((
            word("from"),
            word("where"),
            word("and"),
            word("or"),
            word("order"),
            word("group"),
        ));
        peek(not(keyword)).parse_next(input)?;
        let step = preceded(opt('!'), take_while(1.., name_character));
        let steps = separated::<_, _, (), _, _, _, _>(1.., step, alt(("->", "."))).take();
        steps
            .map(|text: &str| Path(text.replace('!', "")))
            .parse_next(input)
    };
    alt((delimited('\'', plain, '\''), plain)).parse_next(input)
}

/// One condition, or two. A third one needs brackets around two of them.
fn condition(input: &mut Input<'_>) -> ModalResult<Condition> {
    let left = primary(input)?;
    let connective = opt(alt((
        word("and").value(Connective::And),
        word("or").value(Connective::Or),
    )))
    .parse_next(input)?;
    let Some(connective) = connective else {
        return Ok(left);
    };
    let right = cut_err(primary).parse_next(input)?;
    cut_err(peek(not(alt((word("and"), word("or")))))).parse_next(input)?;
    Ok(Condition::Pair(Box::new(left), connective, Box::new(right)))
}

fn primary(input: &mut Input<'_>) -> ModalResult<Condition> {
    alt((delimited(symbol("("), condition, symbol(")")), criterion)).parse_next(input)
}

fn criterion(input: &mut Input<'_>) -> ModalResult<Condition> {
    let path = path(input)?;
    if opt(word("is")).parse_next(input)?.is_some() {
        let negated = opt(word("not")).parse_next(input)?.is_some();
        cut_err(word("null")).parse_next(input)?;
        return Ok(Condition::Null(path, negated));
    }
    let negated = opt(word("not")).parse_next(input)?.is_some();
    if opt(word("like")).parse_next(input)?.is_some() {
        let pattern = cut_err(preceded(multispace0, quoted)).parse_next(input)?;
        return Ok(Condition::Like(path, negated, pattern));
    }
    if opt(word("in")).parse_next(input)?.is_some() {
        let list = cut_err(delimited(
            symbol("("),
            separated(1.., literal, symbol(",")),
            symbol(")"),
        ))
        .parse_next(input)?;
        return Ok(Condition::In(path, negated, list));
    }
    if opt(word("between")).parse_next(input)?.is_some() {
        let low = cut_err(literal).parse_next(input)?;
        cut_err(word("and")).parse_next(input)?;
        let high = cut_err(literal).parse_next(input)?;
        return Ok(Condition::Between(path, negated, low, high));
    }
    if negated {
        return cut_err(winnow::combinator::fail).parse_next(input);
    }
    let comparison = preceded(
        multispace0,
        alt((
            "!=".value(Comparison::NotEqual),
            ">=".value(Comparison::GreaterEqual),
            "<=".value(Comparison::LessEqual),
            "=".value(Comparison::Equal),
            ">".value(Comparison::Greater),
            "<".value(Comparison::Less),
        )),
    )
    .parse_next(input)?;
    let literal = cut_err(literal).parse_next(input)?;
    Ok(Condition::Compare(path, comparison, literal))
}

fn literal(input: &mut Input<'_>) -> ModalResult<Literal> {
    preceded(
        multispace0,
        alt((
            quoted.map(Literal::Text),
            word("true").value(Literal::Boolean(true)),
            word("false").value(Literal::Boolean(false)),
            bare.map(Literal::Bare),
        )),
    )
    .parse_next(input)
}

fn bare(input: &mut Input<'_>) -> ModalResult<String> {
    let rest = take_while(0.., |c: char| {
        c.is_ascii_digit() || matches!(c, '.' | ':' | '-' | '+' | 'T' | 'Z')
    });
    (opt('-'), one_of('0'..='9'), rest)
        .take()
        .map(|text: &str| text.to_owned())
        .parse_next(input)
}

fn quoted(input: &mut Input<'_>) -> ModalResult<String> {
    let character = alt((preceded('\\', any), "''".value('\''), none_of(['\'', '\\'])));
    delimited('\'', repeat::<_, _, String, _, _>(0.., character), '\'').parse_next(input)
}
