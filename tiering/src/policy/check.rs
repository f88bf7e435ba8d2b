//! Refusals that need the text of a predicate: what was written, and at which byte.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::SessionState,
    logical_expr::{BinaryExpr, Expr, ExprSchemable, Like, Operator, Volatility},
    sql::sqlparser::{
        ast::{Expr as Ast, ExprWithAlias, Ident, Query, Spanned, Visit, Visitor},
        dialect::GenericDialect,
        parser::{Parser, ParserError},
        tokenizer::{Location, Token},
    },
};
use linchpin_config::nearest;

use super::PredicateError;

/// A parsed predicate and where its columns stand.
pub(super) struct Checked {
    pub(super) ast: ExprWithAlias,
    pub(super) idents: Vec<(String, usize)>,
}

/// Parses one expression and refuses what a predicate cannot have: unknown columns and functions,
/// subqueries, parameters, aggregates and volatile functions.
pub(super) fn parse(sql: &str, schema: &Schema, state: &SessionState) -> Result<Checked, PredicateError> {
    let fail = |e: ParserError| syntax_error(sql, &e);
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(sql).map_err(fail)?;
    if parser.peek_token().token == Token::EOF {
        return Err(PredicateError::new("the predicate is empty").at(Some(0)));
    }
    let expr = parser.parse_expr().map_err(fail)?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("unexpected `{}` after the end of the predicate", next.token);
        return Err(PredicateError::new(message).at(offset(sql, next.span.start)));
    }
    let mut names = Names { sql, schema, state, idents: Vec::new() };
    match expr.visit(&mut names) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => {
            Ok(Checked { idents: names.idents, ast: ExprWithAlias { expr, alias: None } })
        }
    }
}

struct Names<'a> {
    sql: &'a str,
    schema: &'a Schema,
    state: &'a SessionState,
    idents: Vec<(String, usize)>,
}

impl Names<'_> {
    fn refuse(&self, message: String, at: Location, hint: Option<String>) -> ControlFlow<PredicateError> {
        ControlFlow::Break(PredicateError::new(message).at(offset(self.sql, at)).hint(hint))
    }

    fn column(&mut self, ident: &Ident) -> ControlFlow<PredicateError> {
        let name = match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        };
        if self.schema.index_of(&name).is_ok() {
            self.idents.extend(offset(self.sql, ident.span.start).map(|at| (name, at)));
            return ControlFlow::Continue(());
        }
        let columns = self.schema.fields().iter().map(|f| f.name().as_str());
        let hint = match nearest(&name, columns) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if ident.quote_style == Some('"') => Some(format!("write text as '{}'", ident.value)),
            None => None,
        };
        self.refuse(format!("unknown column `{}`", ident.value), ident.span.start, hint)
    }

    fn function(&self, name: &str, at: Location) -> ControlFlow<PredicateError> {
        let key = name.to_lowercase();
        if let Some(function) = self.state.scalar_functions().get(&key) {
            if function.signature().volatility != Volatility::Volatile {
                return ControlFlow::Continue(());
            }
            let message = format!("`{name}` gives another value every time");
            return self.refuse(
                message,
                at,
                Some("a rule must decide the same event the same way".to_owned()),
            );
        }
        if self.state.aggregate_functions().contains_key(&key)
            || self.state.window_functions().contains_key(&key)
        {
            let hint = "a predicate sees one row".to_owned();
            return self.refuse(format!("`{name}` needs many rows"), at, Some(hint));
        }
        let known = self.state.scalar_functions().keys().map(String::as_str);
        let hint = nearest(&key, known).map(|near| format!("did you mean `{near}`?"));
        self.refuse(format!("unknown function `{name}`"), at, hint)
    }
}

impl Visitor for Names<'_> {
    type Break = PredicateError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<PredicateError> {
        let message = "a subquery is not allowed in a predicate".to_owned();
        self.refuse(message, query.span().start, Some("compare with a list: `x IN (1, 2)`".to_owned()))
    }

    fn pre_visit_expr(&mut self, expr: &Ast) -> ControlFlow<PredicateError> {
        match expr {
            Ast::Identifier(ident) => self.column(ident),
            Ast::CompoundIdentifier(parts) => {
                let written = parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>();
                let flat = written.join("_");
                let known = self.schema.index_of(&flat).is_ok();
                let hint = known.then(|| format!("columns are flat: write `{flat}`"));
                self.refuse(format!("unknown column `{}`", written.join(".")), expr.span().start, hint)
            }
            Ast::Function(function) => self.function(&function.name.to_string(), expr.span().start),
            Ast::Wildcard(_) | Ast::QualifiedWildcard(..) => {
                self.refuse("`*` is not allowed in a predicate".to_owned(), expr.span().start, None)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Refuses comparisons that can only be a mistake: text with numbers, times with numbers, patterns
/// over anything but text. The engine would coerce them and quietly never match.
pub(super) fn comparisons(
    expr: &Expr,
    schema: &DFSchema,
    idents: &[(String, usize)],
) -> Result<(), PredicateError> {
    let mut found = None;
    let walked = expr.apply(|node| {
        let pairs: Vec<(&Expr, &Expr)> = match node {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => vec![(left, right)],
            Expr::InList(list) => list.list.iter().map(|item| (&*list.expr, item)).collect(),
            Expr::Between(between) => vec![(&*between.expr, &*between.low), (&*between.expr, &*between.high)],
            Expr::Like(Like { expr, .. }) | Expr::SimilarTo(Like { expr, .. }) => {
                if let Some(kind) = kind(expr, schema).filter(|k| *k != Kind::Text) {
                    let message = format!("`{expr}` is {}, and a pattern needs text", kind.name());
                    found = Some(PredicateError::new(message).at(place(expr, idents)));
                    return Ok(TreeNodeRecursion::Stop);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        for (left, right) in pairs {
            let (Some(a), Some(b)) = (kind(left, schema), kind(right, schema)) else { continue };
            if !a.compares_with(b, left, right) {
                found = Some(mismatch((left, a), (right, b), idents));
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|e| PredicateError::new(e.strip_backtrace()))?;
    found.map_or(Ok(()), Err)
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Bool,
    Time,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Time => "a time",
        }
    }

    /// The same kind, or a time with a text literal that is read as a time.
    fn compares_with(self, other: Self, left: &Expr, right: &Expr) -> bool {
        self == other
            || (self == Self::Time && other == Self::Text && matches!(right, Expr::Literal(..)))
            || (self == Self::Text && other == Self::Time && matches!(left, Expr::Literal(..)))
    }
}

fn kind(expr: &Expr, schema: &DFSchema) -> Option<Kind> {
    match expr.get_type(schema).ok()? {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Kind::Text),
        DataType::Boolean => Some(Kind::Bool),
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Some(Kind::Time),
        ty if ty.is_numeric() => Some(Kind::Number),
        _ => None,
    }
}

fn mismatch(left: (&Expr, Kind), right: (&Expr, Kind), idents: &[(String, usize)]) -> PredicateError {
    let (column, literal) = if matches!(left.0, Expr::Literal(..)) { (right, left) } else { (left, right) };
    let shown = shown(literal.0);
    let message = format!(
        "`{}` is {}, but is compared with {} (`{shown}`)",
        column.0,
        column.1.name(),
        literal.1.name()
    );
    let bare = shown.trim_matches('\'');
    let hint = match (column.1, literal.0) {
        (Kind::Text, Expr::Literal(..)) => Some(format!("write '{bare}'")),
        (Kind::Number, Expr::Literal(..)) if bare.parse::<f64>().is_ok() => Some(format!("write {bare}")),
        (Kind::Bool, Expr::Literal(..)) => Some(format!("write `{0}` or `NOT {0}`", column.0)),
        (Kind::Time, _) => Some("write a time such as '2026-01-31T00:00:00Z'".to_owned()),
        _ => None,
    };
    PredicateError::new(message).at(place(column.0, idents)).hint(hint)
}

/// A literal as it is written in SQL; anything else as the engine shows it.
fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Literal(value, _) => match value.try_as_str().flatten() {
            Some(text) => format!("'{text}'"),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// Where the first column of an expression stands in the text.
fn place(expr: &Expr, idents: &[(String, usize)]) -> Option<usize> {
    let columns = expr.column_refs();
    idents.iter().find(|(name, _)| columns.iter().any(|c| c.name == *name)).map(|(_, at)| *at)
}

/// Byte offset of a place that counts lines and characters from 1 (0 where it is not known).
fn offset(sql: &str, at: Location) -> Option<usize> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
    let text = sql.get(start..)?;
    Some(start + text.char_indices().nth(column).map_or(text.len(), |(i, _)| i))
}

/// The parser says where it stopped only in its message: ` at Line: 1, Column: 9`.
fn syntax_error(sql: &str, error: &ParserError) -> PredicateError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "the predicate is nested too deeply",
    };
    let Some((what, at)) = message.split_once(" at Line: ") else {
        let at_end = message.ends_with("EOF").then_some(sql.len());
        return PredicateError::new(lower_first(message)).at(at_end);
    };
    let numbers: Vec<u64> = at.split(", Column: ").filter_map(|n| n.trim().parse().ok()).collect();
    let place = match numbers[..] {
        [line, column] => offset(sql, Location { line, column }),
        _ => None,
    };
    PredicateError::new(lower_first(what)).at(place)
}

/// Error texts of the engine, in our style: they start lowercase.
pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
