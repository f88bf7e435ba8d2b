//! Compiling one SQL predicate and evaluating it on batches.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::TimestampMicrosecondArray,
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
        new_null_array,
    },
    compute::prep_null_mask_filter,
    datatypes::{DataType, SchemaRef, TimeUnit},
};
use datafusion::{
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{SessionState, SessionStateBuilder},
    functions::core::expr_fn::nullif,
    logical_expr::{BinaryExpr, Cast, Expr, Operator, TryCast, lit, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
};

use super::{
    PredicateError,
    check::{self, lower_first},
};

/// Longest text of a predicate, in bytes.
pub const PREDICATE_BYTES_MAX: usize = 64 << 10;

/// A condition on rows, checked and compiled.
#[derive(Debug, Clone)]
pub struct Predicate {
    sql: String,
    schema: SchemaRef,
    logical: Expr,
    physical: Arc<dyn PhysicalExpr>,
}

impl Predicate {
    /// Compiles a condition over the columns of `schema` (see [`super::schema`]).
    ///
    /// Casts that fail and divisions by zero give NULL, so that evaluating is total.
    pub fn compile(sql: &str, schema: SchemaRef) -> Result<Self, PredicateError> {
        if sql.len() > PREDICATE_BYTES_MAX {
            let message = format!("the predicate has {} bytes; the most is {PREDICATE_BYTES_MAX}", sql.len());
            return Err(PredicateError::new(message));
        }
        let mut state = functions().clone();
        let options = Arc::clone(state.config_options());
        state.execution_props_mut().mark_start_execution(Arc::clone(&options));
        let checked = check::parse(sql, &schema, &state)?;
        let df_schema = Arc::new(DFSchema::try_from(Arc::clone(&schema)).map_err(|e| plan_error(&e))?);
        let expr =
            state.create_logical_expr_from_sql_expr(checked.ast, &df_schema).map_err(|e| plan_error(&e))?;
        check::comparisons(&expr, &df_schema, &checked.idents)?;
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&df_schema))
            .with_config_options(options)
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let logical = simplifier
            .coerce(expr, &df_schema)
            .and_then(|e| simplifier.simplify(e))
            .and_then(total)
            .and_then(|e| simplifier.coerce(e, &df_schema))
            .and_then(|e| simplifier.simplify(e))
            .map_err(|e| plan_error(&e))?;
        let physical = state.create_physical_expr(logical.clone(), &df_schema).map_err(|e| plan_error(&e))?;
        let ty = physical.data_type(&schema).map_err(|e| plan_error(&e))?;
        if !matches!(ty, DataType::Boolean | DataType::Null) {
            let message = format!("the predicate gives {ty}, not true or false");
            return Err(PredicateError::new(message).at(Some(0)).hint(Some("compare it with something")));
        }
        dry_run(&physical, &schema)?;
        Ok(Self { sql: sql.to_owned(), schema, logical, physical })
    }

    /// The text it was compiled from.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The simplified expression, for scans that prune by it.
    pub fn expr(&self) -> &Expr {
        &self.logical
    }

    /// Names of the columns it reads.
    pub fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = self.logical.column_refs().into_iter().map(|c| c.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Its value where it is the same for every row (NULL counts as false).
    pub fn constant(&self) -> Option<bool> {
        match &self.logical {
            Expr::Literal(ScalarValue::Boolean(value), _) => Some(value.unwrap_or(false)),
            Expr::Literal(ScalarValue::Null, _) => Some(false),
            _ => None,
        }
    }

    /// One value a row of `rows`, without nulls. `rows` has the columns it was compiled for.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
        if let Some(value) = self.constant() {
            return Ok(BooleanArray::from(vec![value; rows.num_rows()]));
        }
        debug_assert_eq!(rows.num_columns(), self.schema.fields().len());
        let value = self.physical.evaluate(rows)?.into_array(rows.num_rows())?;
        let mask = value.as_boolean();
        Ok(if mask.null_count() == 0 { mask.clone() } else { prep_null_mask_filter(mask) })
    }
}

/// The functions a predicate may call: the engine's own; there is no table and no catalogue.
fn functions() -> &'static SessionState {
    static STATE: LazyLock<SessionState> =
        LazyLock::new(|| SessionStateBuilder::new().with_default_features().build());
    &STATE
}

/// Makes an expression total: a cast that fails and a division by zero give NULL.
fn total(expr: Expr) -> Result<Expr, DataFusionError> {
    let done = expr.transform_up(|node| {
        Ok(match node {
            Expr::Cast(Cast { expr, field }) => Transformed::yes(Expr::TryCast(TryCast { expr, field })),
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Modulo), right })
                if !matches!(*right, Expr::Literal(..)) =>
            {
                let right = Box::new(nullif(*right, lit(0)));
                Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(done.data)
}

/// Evaluates every part once, on a row without nulls: what only fails when it runs (a broken regular
/// expression, an unknown date part) fails here.
fn dry_run(physical: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<(), PredicateError> {
    let columns = schema.fields().iter().map(|f| sample(f.data_type())).collect();
    let row =
        RecordBatch::try_new(Arc::clone(schema), columns).map_err(|e| PredicateError::new(e.to_string()))?;
    physical
        .apply(|node| node.evaluate(&row).map(|_| TreeNodeRecursion::Continue))
        .map(|_| ())
        .map_err(|e| plan_error(&e))
}

/// One plain value of a column's type.
fn sample(ty: &DataType) -> ArrayRef {
    match ty {
        DataType::Utf8 => Arc::new(StringArray::from(vec![""])),
        DataType::Int32 => Arc::new(Int32Array::from(vec![1])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![1])),
        DataType::Boolean => Arc::new(BooleanArray::from(vec![true])),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone_opt(zone.clone()))
        }
        other => new_null_array(other, 1),
    }
}

/// The engine's message without its class and backtrace.
fn plan_error(error: &DataFusionError) -> PredicateError {
    let text = error.find_root().strip_backtrace();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    // what a regular expression lacks stands in the last line
    let last = lines.next_back().map_or_else(String::new, |last| format!(" {last}"));
    let message =
        ENGINE_PREFIXES.iter().fold(first, |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    let message = format!("{message}{last}");
    PredicateError::new(lower_first(message.trim_end_matches('.')))
}

/// What the engine puts before its messages, outermost first.
const ENGINE_PREFIXES: [&str; 8] = [
    "Optimizer rule 'simplify_expressions' failed caused by ",
    "Error during planning: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
    "External error: ",
    "Cast error: ",
    "Parser error: ",
];
