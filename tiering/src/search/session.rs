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
    explain::Explain,
    io::CountingStore,
};

/// Files smaller than this are read by one thread.
const SPLIT_BYTES_MIN: usize = 32 << 20;
/// Memory consumers that a refusal for want of memory names in the log.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN;

/// What one query runs in.
pub(crate) struct Session {
    context: SessionContext,
    tables: Vec<(Arc<CountingStore>, Arc<Events>)>,
}

impl Session {
    /// A session over one snapshot.
    pub(crate) fn open(table: &DeltaTable, limits: &SearchLimits) -> Result<Self, DataFusionError> {
        let mut config = SessionConfig::new()
            .with_target_partitions(limits.threads.max(1))
            .with_batch_size(limits.batch_rows)
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
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let mut session = Self { context: SessionContext::new_with_state(state), tables: Vec::new() };
        session.add(EVENTS, table)?;
        Ok(session)
    }

    /// Lets queries see another table with the same columns.
    pub(super) fn add(&mut self, name: &'static str, table: &DeltaTable) -> Result<(), DataFusionError> {
        let store = Arc::new(CountingStore::new(table.log_store().object_store(None)));
        self.context.register_object_store(store_url(name).as_ref(), Arc::clone(&store) as _);
        let events = Arc::new(Events::new(name, table)?);
        self.context.register_table(name, Arc::clone(&events) as _)?;
        self.tables.push((store, events));
        Ok(())
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Adds what was read of all tables.
    pub(super) fn count(&self, explain: &mut Explain) {
        for (store, events) in &self.tables {
            let ((bytes, requests), (total, matched)) = (store.read(), events.files());
            explain.bytes_read += bytes;
            explain.requests += requests;
            explain.files_read += store.files();
            explain.files_total += total;
            explain.files_matched += matched;
        }
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
