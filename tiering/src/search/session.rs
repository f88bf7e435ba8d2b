//! One query's session: its table, its limits, and what it may not do.

use std::{num::NonZeroUsize, sync::Arc};

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{Transformed, TreeNode},
    },
    execution::{
        SessionState, SessionStateBuilder,
        context::SQLOptions,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{GreedyMemoryPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, coop::CooperativeExec},
    prelude::{SessionConfig, SessionContext},
    sql::{parser::Statement, sqlparser::ast::Statement as SqlStatement},
};
use deltalake::DeltaTable;

use super::{
    EVENTS, SearchError, SearchLimits,
    events::{Events, store_url},
    io::CountingStore,
};

/// Rows in one batch.
const BATCH_ROWS: usize = 8192;
/// Files smaller than this are read by one thread.
const SPLIT_BYTES_MIN: usize = 32 << 20;
/// Memory consumers that a refusal for want of memory names in the log.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// What one query runs in.
pub(crate) struct Session {
    context: SessionContext,
    store: Arc<CountingStore>,
    events: Arc<Events>,
}

impl Session {
    /// A session over one snapshot.
    pub(crate) fn open(table: &DeltaTable, limits: &SearchLimits) -> Result<Self, DataFusionError> {
        let store = Arc::new(CountingStore::new(table.log_store().object_store(None)));
        let mut config = SessionConfig::new()
            .with_target_partitions(limits.threads.max(1))
            .with_batch_size(BATCH_ROWS)
            .with_repartition_file_min_size(SPLIT_BYTES_MIN)
            .with_parquet_bloom_filter_pruning(true)
            .with_parquet_page_index_pruning(true)
            .with_information_schema(false);
        let parquet = &mut config.options_mut().execution.parquet;
        parquet.pushdown_filters = true;
        parquet.reorder_filters = true;
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(limits.memory_bytes), CONSUMERS_NAMED);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        runtime.register_object_store(store_url().as_ref(), Arc::clone(&store) as _);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        let events = Arc::new(Events::new(table)?);
        context.register_table(EVENTS, Arc::clone(&events) as _)?;
        Ok(Self { context, store, events })
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(crate) fn store(&self) -> &CountingStore {
        &self.store
    }

    pub(super) fn table(&self) -> &Events {
        &self.events
    }

    /// A scan of the whole table, to be narrowed.
    pub(super) async fn events(&self) -> Result<LogicalPlan, DataFusionError> {
        Ok(self.context.table(EVENTS).await?.into_unoptimized_plan())
    }
}

/// Parses one statement and refuses everything but a reading query.
pub(super) fn reading_statement(state: &SessionState, sql: &str) -> Result<Statement, SearchError> {
    let dialect = state.config_options().sql_parser.dialect;
    let statement =
        state.sql_to_statement(sql, &dialect).map_err(|e| SearchError::Sql(super::first_line(&e)))?;
    let inner = match &statement {
        Statement::Explain(explain) => &*explain.statement,
        other => other,
    };
    match inner {
        Statement::Statement(sql) if matches!(**sql, SqlStatement::Query(_)) => Ok(statement),
        other => {
            let shown: String = other.to_string().chars().take(40).collect();
            Err(SearchError::Refused(format!("`{shown}` is not a query")))
        }
    }
}

/// Refuses a plan that defines, writes or sets anything (`SELECT … INTO`, a writing `WITH`).
pub(super) fn verify(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
}

/// A join can make many batches of one without asking its inputs, and so never give way: let it, or the
/// limit of time could not be held.
pub(super) fn cooperative(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let done = plan.transform_up(|node| {
        let joins = node.children().len() > 1;
        Ok(if joins {
            Transformed::yes(Arc::new(CooperativeExec::new(node)) as _)
        } else {
            Transformed::no(node)
        })
    })?;
    Ok(done.data)
}
