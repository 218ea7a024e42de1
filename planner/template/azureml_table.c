/* planner/template/azureml_table.c: the fields of Azure ML's documents, as rows: names and types
 * are those of the CLI v2 YAML reference. Read by azureml_check.c. */
#include "planner/template/azureml_table.h"

/* clang-format off */
#define ROW(n, t, flags, words, table) {MIO_STR_INIT(n), MIO_AZ_##t, (flags), (words), (table)}
#define F(n, t) ROW(n, t, 0, NULL, NULL)
#define NEED(n, t) ROW(n, t, MIO_AZ_NEED, NULL, NULL)
#define LATER(n, t) ROW(n, t, MIO_AZ_LATER, NULL, NULL)
#define LOOSE(n, t) ROW(n, t, MIO_AZ_LOOSE, NULL, NULL)
#define LOCAL(n, flags) ROW(n, REF, MIO_AZ_LOCAL | (flags), NULL, NULL)
#define ONE(n, flags, ...) ROW(n, ENUM, flags, ((const char *const[]){__VA_ARGS__, NULL}), NULL)
#define SUB(n, t, flags, sub) ROW(n, t, flags, NULL, &(sub))
#define TABLE(id, what, ...)                                                                       \
    static const struct mio_az_field id##_fields[] = {__VA_ARGS__};                                \
    static const struct mio_az_table id = {(what), id##_fields, sizeof id##_fields / sizeof *id##_fields, false}
#define OPEN_TABLE(id, what, ...) /* the service takes keys it does not know */                    \
    static const struct mio_az_field id##_fields[] = {__VA_ARGS__};                                \
    static const struct mio_az_table id = {(what), id##_fields, sizeof id##_fields / sizeof *id##_fields, true}

/* Parts that many documents share */

#define SCHEMA F("$schema", TEXT), F("id", TEXT), F("creation_context", MAP)
#define LABELS F("description", TEXT), F("tags", TEXTS), F("properties", MAP)
#define ASSET SCHEMA, LABELS, LATER("name", TEXT), F("version", TEXT), F("stage", TEXT), \
    F("latest_version", TEXT)
#define RESOURCE SCHEMA, LABELS, LATER("name", TEXT), F("location", TEXT), F("resource_group", TEXT)

TABLE(identity_item, "an identity", F("resource_id", TEXT), F("client_id", TEXT), F("principal_id", TEXT));
TABLE(identity, "`identity`", F("type", TEXT), SUB("user_assigned_identities", ITEMS, 0, identity_item),
      F("client_id", TEXT), F("object_id", TEXT), F("resource_id", TEXT), F("msi_resource_id", TEXT),
      F("principal_id", TEXT), F("tenant_id", TEXT));
#define IDENTITY SUB("identity", OBJECT, 0, identity)

/* Environments, models, data, code */

TABLE(route, "a route", NEED("path", TEXT), NEED("port", INT));
TABLE(inference_config, "`inference_config`", SUB("liveness_route", OBJECT, 0, route),
      SUB("readiness_route", OBJECT, 0, route), SUB("scoring_route", OBJECT, 0, route));
TABLE(build, "`build`", F("path", PATH), F("dockerfile_path", TEXT), F("args", TEXTS));
TABLE(environment, "an environment", ASSET, F("image", TEXT), SUB("build", OBJECT, 0, build),
      LOCAL("conda_file", 0), ONE("os_type", 0, "linux", "windows"),
      SUB("inference_config", OBJECT, 0, inference_config), F("datastore", TEXT), F("local_path", TEXT));
#define ENVIRONMENT(flags) SUB("environment", REF, (flags), environment)

#define MODEL_TYPES "custom_model", "mlflow_model", "triton_model"
TABLE(default_deployment, "a deployment template", F("asset_id", TEXT));
TABLE(model, "a model", ASSET, F("path", PATH), ONE("type", 0, MODEL_TYPES), F("flavors", MAP), F("utc_time_created", TEXT),
      F("run_id", TEXT), F("job_name", TEXT), F("datastore", TEXT), F("intellectual_property", MAP),
      SUB("default_deployment_template", OBJECT, 0, default_deployment));
#define MODEL(flags) SUB("model", REF, (flags), model)

TABLE(source, "`source`", ONE("type", MIO_AZ_NEED, "database", "file_system"), F("connection", TEXT),
      F("query", TEXT), F("path", TEXT), F("stored_procedure", TEXT), F("stored_procedure_params", ANY));
TABLE(data, "a data asset", ASSET, LATER("path", PATH), ONE("type", 0, "uri_file", "uri_folder", "mltable"),
      F("auto_delete_setting", MAP), F("datastore", TEXT), F("skip_validation", BOOL), F("mltable_schema_url", TEXT));
TABLE(data_import, "a data import", ASSET, NEED("path", PATH), F("type", TEXT),
      SUB("source", OBJECT, MIO_AZ_NEED, source), F("auto_delete_setting", MAP));

/* How something runs */

TABLE(resources, "`resources`", F("instance_count", INT), LOOSE("instance_type", LIST),
      LOOSE("instance_types", LIST), F("shm_size", TEXT),
      F("docker_args", TEXT), F("properties", MAP), F("locations", LIST), F("max_instance_count", INT),
      F("runtime_version", TEXT));
#define RESOURCES SUB("resources", OBJECT, 0, resources)
TABLE(distribution, "`distribution`", ONE("type", MIO_AZ_NEED, "mpi", "pytorch", "tensorflow", "ray"),
      F("process_count_per_instance", INT), F("worker_count", INT), F("parameter_server_count", INT),
      F("port", INT), F("address", TEXT), F("include_dashboard", BOOL), F("dashboard_port", INT),
      F("head_node_additional_args", TEXT), F("worker_node_additional_args", TEXT));
#define DISTRIBUTION SUB("distribution", OBJECT, 0, distribution)
TABLE(queue, "`queue_settings`", F("job_tier", TEXT), F("priority", TEXT));
#define QUEUE SUB("queue_settings", OBJECT, 0, queue)
TABLE(limits, "`limits`", F("timeout", DURATION));
TABLE(service, "a service", F("type", TEXT), F("job_service_type", TEXT), F("port", INT), F("endpoint", TEXT),
      F("nodes", SCALAR), F("log_dir", TEXT), F("ssh_public_keys", TEXT), F("properties", MAP), F("status", TEXT));
#define SERVICES SUB("services", EACH, 0, service)
TABLE(retry, "`retry_settings`", F("max_retries", INT), F("timeout", DURATION));
#define RETRY SUB("retry_settings", OBJECT, 0, retry)
TABLE(code_configuration, "`code_configuration`", LOCAL("code", 0), F("scoring_script", TEXT));

/* Jobs. A step of a pipeline has the fields of a job, and may be a component instead. */

OPEN_TABLE(setting, "`settings`", F("default_compute", TEXT), F("default_datastore", TEXT),
      F("continue_on_step_failure", BOOL), F("force_rerun", BOOL), F("on_init", TEXT), F("on_finalize", TEXT),
      F("continue_run_on_failed_optional_input", BOOL));
TABLE(notification, "`notification_setting`", F("email_on", LIST), F("emails", LIST));
#define JOB SCHEMA, LABELS, F("name", TEXT), F("display_name", TEXT), F("experiment_name", TEXT), \
    F("type", TEXT), F("compute", REF), IDENTITY, F("inputs", BINDINGS), F("outputs", BINDINGS), \
    SERVICES, QUEUE, F("parent_job_name", TEXT), F("status", TEXT), F("log_files", ANY), \
    SUB("notification_setting", OBJECT, 0, notification)
#define STEP LOCAL("component", 0), F("version", TEXT), F("is_deterministic", BOOL), F("comment", TEXT), \
    F("depends_on", LIST)
#define RUNS LOCAL("code", 0), DISTRIBUTION, RESOURCES, F("environment_variables", TEXTS), \
    SUB("limits", OBJECT, 0, limits)

TABLE(command_job, "a command job", JOB, RUNS, NEED("command", TEXT), ENVIRONMENT(MIO_AZ_NEED));
TABLE(command_step, "a command step", JOB, RUNS, STEP, F("command", TEXT), ENVIRONMENT(0));
TABLE(pipeline_job, "a pipeline", JOB, LOCAL("component", 0), F("jobs", STEPS), SUB("settings", OBJECT, 0, setting),
      RESOURCES, SUB("limits", OBJECT, 0, limits), F("runtime_version", TEXT));
TABLE(pipeline_step, "a pipeline step", JOB, STEP, F("jobs", STEPS), SUB("settings", OBJECT, 0, setting), RESOURCES,
      F("environment_variables", TEXTS), SUB("limits", OBJECT, 0, limits), LOCAL("code", 0), ENVIRONMENT(0),
      DISTRIBUTION);

TABLE(entry, "`entry`", F("file", TEXT), F("class_name", TEXT));
#define SPARK LOCAL("code", 0), SUB("entry", OBJECT, 0, entry), F("conf", TEXTS), F("args", TEXT), \
    F("py_files", LIST), F("jars", LIST), F("files", LIST), F("archives", LIST), RESOURCES, ENVIRONMENT(0), \
    F("dynamic_allocation_enabled", BOOL), F("driver_cores", INT), F("driver_memory", TEXT), \
    F("executor_cores", INT), F("executor_memory", TEXT), F("executor_instances", INT)
TABLE(spark_job, "a Spark job", JOB, SPARK);
TABLE(spark_step, "a Spark step", JOB, STEP, SPARK);

TABLE(parallel_task, "`task`", ONE("type", 0, "run_function", "model", "function"), LOCAL("code", 0),
      F("entry_script", TEXT), F("program_arguments", TEXT), F("append_row_to", TEXT), ENVIRONMENT(0), MODEL(0));
#define PARALLEL SUB("task", OBJECT, 0, parallel_task), F("input_data", TEXT), F("mini_batch_size", SCALAR), \
    F("mini_batch_error_threshold", INT), F("error_threshold", INT), F("logging_level", TEXT), \
    F("max_concurrency_per_instance", INT), RETRY, F("partition_keys", LIST), RESOURCES, \
    F("environment_variables", TEXTS)
TABLE(parallel_step, "a parallel step", JOB, STEP, PARALLEL);

TABLE(objective, "`objective`", ONE("goal", MIO_AZ_NEED, "minimize", "maximize"), NEED("primary_metric", TEXT));
TABLE(early, "`early_termination`", F("type", TEXT), F("slack_factor", NUMBER), F("slack_amount", NUMBER),
      F("evaluation_interval", INT), F("delay_evaluation", INT), F("truncation_percentage", INT));
TABLE(sampling, "`sampling_algorithm`", F("type", TEXT), F("seed", INT), F("rule", TEXT), F("logbase", SCALAR));
TABLE(sweep_limits, "`limits`", F("max_total_trials", INT), F("max_concurrent_trials", INT), F("timeout", DURATION),
      F("trial_timeout", DURATION));
TABLE(trial, "`trial`", SCHEMA, LABELS, RUNS, F("name", TEXT), F("version", TEXT), F("type", TEXT), F("command", TEXT),
      F("display_name", TEXT), F("inputs", MAP), F("outputs", MAP), F("is_deterministic", BOOL), ENVIRONMENT(0));
#define SWEEP SUB("trial", REF, MIO_AZ_LOCAL, trial), F("search_space", SPACE), SUB("objective", OBJECT, 0, objective), \
    SUB("limits", OBJECT, 0, sweep_limits), SUB("early_termination", OBJECT, 0, early), RESOURCES, \
    SUB("sampling_algorithm", OBJECT, MIO_AZ_LOOSE, sampling)
TABLE(sweep_job, "a sweep job", JOB, SWEEP);
TABLE(sweep_step, "a sweep step", JOB, STEP, SWEEP);

TABLE(auto_limits, "`limits`", F("max_trials", INT), F("max_concurrent_trials", INT), F("max_nodes", INT),
      F("max_cores_per_trial", INT), F("timeout_minutes", INT), F("trial_timeout_minutes", INT), F("timeout", DURATION),
      F("enable_early_termination", BOOL), F("exit_score", NUMBER));
TABLE(featurization, "`featurization`", F("mode", TEXT), F("blocked_transformers", LIST),
      F("column_name_and_types", TEXTS), F("transformer_params", MAP), F("dataset_language", TEXT),
      F("drop_columns", LIST), F("enable_dnn_featurization", BOOL));
TABLE(forecasting, "`forecasting`", F("time_column_name", TEXT), F("forecast_horizon", SCALAR), F("frequency", TEXT),
      LOOSE("target_lags", LIST), F("target_rolling_window_size", SCALAR), F("country_or_region_for_holidays", TEXT),
      LOOSE("time_series_id_column_names", LIST), F("seasonality", SCALAR), F("short_series_handle_config", TEXT),
      F("short_series_handling_config", TEXT), F("use_stl", TEXT), F("target_aggregate_function", TEXT),
      F("feature_lags", TEXT), F("cv_step_size", INT), F("features_unknown_at_forecast_time", LIST));
TABLE(training, "`training`", F("allowed_training_algorithms", LIST), F("blocked_training_algorithms", LIST),
      F("enable_dnn_training", BOOL), F("enable_model_explainability", BOOL), F("enable_stack_ensemble", BOOL),
      F("enable_vote_ensemble", BOOL), F("enable_onnx_compatible_models", BOOL), F("stack_ensemble_settings", MAP),
      F("ensemble_model_download_timeout", DURATION), F("ensemble_model_download_timeout_minutes", INT),
      F("training_mode", TEXT));
TABLE(auto_sweep, "`sweep`", SUB("early_termination", OBJECT, 0, early), F("sampling_algorithm", TEXT),
      SUB("limits", OBJECT, 0, sweep_limits));
TABLE(auto_data, "a data input", F("path", PATH), F("type", TEXT), F("mode", TEXT));
#define AUTOML ONE("task", MIO_AZ_NEED, "classification", "regression", "forecasting", "image_classification", \
        "image_classification_multilabel", "image_object_detection", "image_instance_segmentation", \
        "text_classification", "text_classification_multilabel", "text_ner"), \
    F("primary_metric", TEXT), F("target_column_name", TEXT), F("log_verbosity", TEXT), RESOURCES, \
    SUB("training_data", REF, MIO_AZ_LOCAL | MIO_AZ_NEED, auto_data), SUB("validation_data", REF, MIO_AZ_LOCAL, auto_data), \
    SUB("test_data", REF, MIO_AZ_LOCAL, auto_data), F("n_cross_validations", SCALAR), F("validation_data_size", NUMBER), \
    F("test_data_size", NUMBER), F("cv_split_column_names", LIST), F("weight_column_name", TEXT), \
    SUB("limits", OBJECT, 0, auto_limits), SUB("featurization", OBJECT, 0, featurization), \
    SUB("forecasting", OBJECT, 0, forecasting), SUB("training", OBJECT, 0, training), \
    F("training_parameters", MAP), F("search_space", SPACE), SUB("sweep", OBJECT, 0, auto_sweep), \
    F("positive_label", SCALAR), F("environment_id", TEXT), F("environment_variables", TEXTS)
TABLE(automl_job, "an AutoML job", JOB, AUTOML);
TABLE(automl_step, "an AutoML step", JOB, F("depends_on", LIST), AUTOML);

TABLE(import_step, "an import step", JOB, STEP, SUB("source", OBJECT, 0, source), F("output", MAP));
TABLE(data_transfer_step, "a data transfer step", JOB, STEP, F("task", TEXT), F("source", MAP), F("sink", MAP),
      F("data_copy_mode", TEXT));

TABLE(tuned, "a model to register", F("type", TEXT), F("name", TEXT), F("version", TEXT), F("path", TEXT), F("mode", TEXT));
TABLE(finetuning_job, "a fine-tuning job", SCHEMA, LABELS, F("name", TEXT), F("display_name", TEXT),
      F("experiment_name", TEXT), NEED("type", TEXT), NEED("task", TEXT), F("model_provider", TEXT), F("compute", REF),
      MODEL(MIO_AZ_NEED), RESOURCES, QUEUE, IDENTITY, SUB("training_data", REF, MIO_AZ_NEED | MIO_AZ_LOCAL, auto_data),
      SUB("validation_data", REF, MIO_AZ_LOCAL, auto_data), F("hyperparameters", TEXTS),
      SUB("outputs", EACH, 0, tuned));
TABLE(teacher, "`teacher_model_endpoint_connection`", F("type", TEXT), F("name", TEXT), F("endpoint", TEXT), F("api_key", TEXT));
TABLE(teacher_settings, "`teacher_model_settings`", F("inference_parameters", MAP), F("endpoint_request_settings", MAP));
TABLE(prompt_settings, "`prompt_settings`", F("enable_chain_of_thought", BOOL), F("enable_chain_of_density", BOOL),
      F("max_len_summary", INT));
TABLE(distillation_job, "a distillation job", SCHEMA, LABELS, F("name", TEXT), F("display_name", TEXT),
      F("experiment_name", TEXT), NEED("type", TEXT), NEED("data_generation_type", TEXT),
      NEED("data_generation_task_type", TEXT), SUB("training_data", REF, MIO_AZ_LOCAL, auto_data),
      SUB("validation_data", REF, MIO_AZ_LOCAL, auto_data), RESOURCES, IDENTITY, F("hyperparameters", TEXTS),
      SUB("teacher_model_endpoint_connection", OBJECT, MIO_AZ_NEED, teacher), F("student_model", TEXT),
      SUB("teacher_model_settings", OBJECT, 0, teacher_settings),
      SUB("prompt_settings", OBJECT, 0, prompt_settings), SUB("outputs", EACH, 0, tuned));

/* Components */

TABLE(port_, "an input or output", NEED("type", TEXT), F("description", TEXT), F("default", SCALAR), F("optional", BOOL),
      F("min", SCALAR), F("max", SCALAR), F("enum", LIST), F("mode", TEXT), F("path", TEXT), F("is_control", BOOL),
      F("early_available", BOOL), F("primary_metric", TEXT), F("datastore", TEXT), F("properties", MAP), F("values", MAP));
#define COMPONENT ASSET, F("display_name", TEXT), F("type", TEXT), SUB("inputs", EACH, 0, port_), \
    SUB("outputs", EACH, 0, port_), F("is_deterministic", BOOL), F("intellectual_property", MAP), \
    F("additional_includes", LIST), F("computes", MAP), F("_source", TEXT)
TABLE(command_component, "a command component", COMPONENT, RUNS, NEED("command", TEXT), ENVIRONMENT(MIO_AZ_NEED));
TABLE(pipeline_component, "a pipeline component", COMPONENT, F("jobs", STEPS), SUB("settings", OBJECT, 0, setting));
TABLE(spark_component, "a Spark component", COMPONENT, SPARK);
TABLE(parallel_component, "a parallel component", COMPONENT, PARALLEL);
TABLE(sweep_component, "a sweep component", COMPONENT, SWEEP);
TABLE(import_component, "an import component", COMPONENT, F("source", MAP), F("output", MAP));

/* Compute */

TABLE(ssh, "`ssh_settings`", F("admin_username", TEXT), F("admin_password", TEXT), F("ssh_key_value", TEXT),
      F("ssh_private_key_file", TEXT), F("ssh_port", INT), F("ssh_public_key", TEXT));
TABLE(network, "`network_settings`", F("vnet_name", TEXT), F("subnet", TEXT));
#define COMPUTE RESOURCE, NEED("type", TEXT), IDENTITY, SUB("ssh_settings", OBJECT, 0, ssh), \
    F("ssh_public_access_enabled", BOOL)
TABLE(trigger_schedule, "`schedule`", LOOSE("hours", LIST), LOOSE("minutes", LIST), LOOSE("week_days", LIST),
      LOOSE("month_days", LIST));
TABLE(trigger, "`trigger`", ONE("type", MIO_AZ_NEED, "cron", "recurrence"), F("expression", TEXT), F("frequency", TEXT),
      F("interval", INT), F("start_time", TEXT), F("end_time", TEXT), F("time_zone", TEXT),
      SUB("schedule", OBJECT, 0, trigger_schedule));
TABLE(start_stop, "a start or stop", ONE("action", MIO_AZ_NEED, "start", "stop"), F("state", TEXT), F("schedule_id", TEXT),
      SUB("trigger", OBJECT, MIO_AZ_NEED, trigger));
TABLE(schedules, "`schedules`", SUB("compute_start_stop", ITEMS, 0, start_stop));
TABLE(script, "a script", F("command", TEXT), F("path", PATH), F("timeout_minutes", INT));
TABLE(setup_scripts, "`setup_scripts`", SUB("creation_script", OBJECT, 0, script), SUB("startup_script", OBJECT, 0, script));
TABLE(owner, "`create_on_behalf_of`", F("user_tenant_id", TEXT), F("user_object_id", TEXT));
TABLE(aml_compute, "a compute cluster", COMPUTE, F("size", TEXT), ONE("tier", 0, "dedicated", "low_priority"),
      F("min_instances", INT), F("max_instances", INT), F("idle_time_before_scale_down", DURATION),
      SUB("network_settings", OBJECT, 0, network), F("enable_node_public_ip", BOOL));
TABLE(compute_instance, "a compute instance", COMPUTE, F("size", TEXT), SUB("network_settings", OBJECT, 0, network),
      SUB("schedules", OBJECT, 0, schedules), F("idle_time_before_shutdown", DURATION),
      F("idle_time_before_shutdown_minutes", INT), SUB("create_on_behalf_of", OBJECT, 0, owner),
      SUB("setup_scripts", OBJECT, 0, setup_scripts), F("enable_node_public_ip", BOOL), F("enable_sso", BOOL),
      F("enable_root_access", BOOL), F("enable_os_patching", BOOL), F("custom_applications", ANY),
      F("release_quota_on_stop", BOOL), F("state", TEXT));
TABLE(attached_compute, "an attached compute", COMPUTE, NEED("resource_id", TEXT), F("namespace", TEXT),
      F("node_count", INT), F("node_family", TEXT), F("node_size", TEXT), F("spark_version", TEXT),
      F("scale_settings", MAP), F("auto_pause_settings", MAP));

/* Datastores, connections */

TABLE(credentials, "`credentials`", F("type", TEXT), F("account_key", TEXT), F("sas_token", TEXT), F("client_id", TEXT),
      F("client_secret", TEXT), F("tenant_id", TEXT), F("certificate", TEXT), F("thumbprint", TEXT),
      F("authority_url", TEXT), F("resource_url", TEXT), F("username", TEXT), F("password", TEXT), F("pat", TEXT),
      F("access_key_id", TEXT), F("secret_access_key", TEXT), F("key", TEXT), F("keys", TEXTS), F("resource_id", TEXT));
#define CREDENTIALS SUB("credentials", OBJECT, 0, credentials)
#define STORE RESOURCE, NEED("type", TEXT), CREDENTIALS, F("endpoint", TEXT), ONE("protocol", 0, "http", "https", "wasb", "wasbs", "abfs", "abfss")
TABLE(blob_store, "a blob datastore", STORE, NEED("account_name", TEXT), NEED("container_name", TEXT));
TABLE(file_store, "a file datastore", STORE, NEED("account_name", TEXT), NEED("file_share_name", TEXT));
TABLE(gen1_store, "a Data Lake Gen1 datastore", STORE, NEED("store_name", TEXT));
TABLE(gen2_store, "a Data Lake Gen2 datastore", STORE, NEED("account_name", TEXT), NEED("filesystem", TEXT));
TABLE(artifact, "`artifact`", F("type", TEXT), F("name", TEXT));
TABLE(lake_store, "a OneLake datastore", STORE, SUB("artifact", OBJECT, MIO_AZ_NEED, artifact),
      NEED("one_lake_workspace_name", TEXT));
TABLE(connection, "a connection", RESOURCE, NEED("type", TEXT), F("target", TEXT), CREDENTIALS, F("metadata", TEXTS),
      F("is_shared", BOOL), F("azure_endpoint", TEXT), F("api_key", TEXT), F("api_version", TEXT), F("api_type", TEXT),
      F("endpoint", TEXT), F("open_ai_resource_id", TEXT), F("ai_services_resource_id", TEXT), F("api_base", TEXT),
      F("url", TEXT), F("account_name", TEXT), F("container_name", TEXT));

/* Workspaces and registries */

TABLE(managed_network, "`managed_network`", F("isolation_mode", TEXT), F("outbound_rules", ANY), F("firewall_sku", TEXT),
      F("network_id", TEXT), F("status", ANY));
TABLE(customer_key, "`customer_managed_key`", F("key_vault", TEXT), F("key_uri", TEXT), F("cosmosdb_id", TEXT),
      F("storage_id", TEXT), F("search_id", TEXT));
#define WORKSPACE RESOURCE, F("display_name", TEXT), F("storage_account", TEXT), F("key_vault", TEXT), \
    F("container_registry", TEXT), F("application_insights", TEXT), F("hbi_workspace", BOOL), \
    SUB("customer_managed_key", OBJECT, 0, customer_key), F("image_build_compute", TEXT), \
    ONE("public_network_access", 0, "enabled", "disabled"), IDENTITY, F("primary_user_assigned_identity", TEXT), \
    SUB("managed_network", OBJECT, 0, managed_network), F("enable_data_isolation", BOOL), F("kind", TEXT), \
    F("system_datastores_auth_mode", TEXT), F("allow_roleassignment_on_rg", BOOL), F("serverless_compute", MAP), \
    F("hub_id", TEXT), F("provision_network_now", BOOL), F("associated_workspaces", LIST), F("resource_id", TEXT), \
    F("default_resource_group", TEXT), F("default_project_resource_group", TEXT), F("discovery_url", TEXT), \
    F("mlflow_tracking_uri", TEXT), F("network_acls", MAP)
TABLE(workspace, "a workspace", WORKSPACE);
TABLE(feature_store, "a feature store", WORKSPACE, F("compute_runtime", MAP), F("offline_store", MAP),
      F("online_store", MAP), F("materialization_identity", MAP));
TABLE(storage_config, "`storage_config`", F("storage_account_hns", BOOL), F("storage_account_type", TEXT),
      F("replicated_ids", LIST), F("replication_count", INT));
TABLE(replica, "a replication location", NEED("location", TEXT), SUB("storage_config", OBJECT, 0, storage_config),
      F("acr_config", ANY));
TABLE(registry, "a registry", RESOURCE, SUB("replication_locations", ITEMS, MIO_AZ_NEED, replica),
      ONE("public_network_access", 0, "enabled", "disabled"), F("intellectual_property", MAP), F("container_registry", ANY),
      F("intellectual_property_publisher", TEXT), F("managed_resource_group", MAP), F("discovery_url", TEXT),
      F("mlflow_registry_uri", TEXT), IDENTITY);

/* Endpoints and deployments */

#define ENDPOINT RESOURCE, F("auth_mode", TEXT), F("scoring_uri", TEXT), F("openapi_uri", TEXT), \
    F("provisioning_state", TEXT), F("compute", REF), IDENTITY
TABLE(online_endpoint, "an online endpoint", ENDPOINT, F("traffic", TEXTS), F("mirror_traffic", TEXTS),
      ONE("public_network_access", 0, "enabled", "disabled"), F("keys", MAP));
TABLE(batch_defaults, "`defaults`", F("deployment_name", TEXT));
TABLE(batch_endpoint, "a batch endpoint", ENDPOINT, SUB("defaults", OBJECT, 0, batch_defaults));
TABLE(serverless_endpoint, "a serverless endpoint", RESOURCE, NEED("model_id", TEXT), F("auth_mode", TEXT),
      F("content_safety", ANY), F("scoring_uri", TEXT), F("provisioning_state", TEXT), F("headers", MAP));
TABLE(subscription, "a marketplace subscription", RESOURCE, NEED("model_id", TEXT), F("status", TEXT),
      F("marketplace_plan", MAP), F("provisioning_state", TEXT));

TABLE(probe, "a probe", F("initial_delay", DURATION), F("period", DURATION), F("timeout", DURATION),
      F("success_threshold", INT), F("failure_threshold", INT), F("path", TEXT), F("port", INT), F("scheme", TEXT),
      F("method", TEXT));
TABLE(request_settings, "`request_settings`", F("request_timeout_ms", INT),
      F("max_concurrent_requests_per_instance", INT), F("max_queue_wait_ms", INT));
TABLE(scale_settings, "`scale_settings`", ONE("type", 0, "default", "target_utilization"), F("min_instances", INT),
      F("max_instances", INT), F("polling_interval", INT), F("target_utilization_percentage", INT));
TABLE(quantity, "a quantity", F("cpu", TEXT), F("memory", TEXT), F("nvidia.com/gpu", TEXT), F("gpu", TEXT));
TABLE(container, "`resources`", SUB("requests", OBJECT, 0, quantity), SUB("limits", OBJECT, 0, quantity));
TABLE(collection, "a collection", F("enabled", SCALAR), F("data", TEXT), F("client_id", TEXT), F("sampling_rate", NUMBER));
TABLE(request_logging, "`request_logging`", F("capture_headers", LIST));
TABLE(data_collector, "`data_collector`", SUB("collections", EACH, 0, collection), F("rolling_rate", TEXT),
      F("sampling_rate", NUMBER), SUB("request_logging", OBJECT, 0, request_logging));
#define DEPLOYMENT RESOURCE, F("type", TEXT), LATER("endpoint_name", TEXT), MODEL(MIO_AZ_LOCAL), \
    SUB("code_configuration", OBJECT, 0, code_configuration), ENVIRONMENT(0), F("environment_variables", TEXTS)
#define ONLINE DEPLOYMENT, F("app_insights_enabled", BOOL), F("instance_type", TEXT), F("instance_count", INT), \
    SUB("request_settings", OBJECT, 0, request_settings), SUB("liveness_probe", OBJECT, 0, probe), \
    SUB("readiness_probe", OBJECT, 0, probe), SUB("startup_probe", OBJECT, 0, probe), \
    SUB("scale_settings", OBJECT, 0, scale_settings), F("model_mount_path", TEXT), F("private_network_connection", BOOL), \
    SUB("data_collector", OBJECT, 0, data_collector), F("package_model", BOOL), F("with_package", BOOL), \
    F("provisioning_state", TEXT)
TABLE(managed_deployment, "a managed online deployment", ONLINE,
      ONE("egress_public_network_access", 0, "enabled", "disabled"));
TABLE(kubernetes_deployment, "a Kubernetes online deployment", ONLINE, SUB("resources", OBJECT, 0, container));
TABLE(batch_settings, "`settings`", F("mini_batch_size", INT), F("max_concurrency_per_instance", INT),
      ONE("output_action", 0, "append_row", "summary_only"), F("output_file_name", TEXT), RETRY,
      F("error_threshold", INT), F("logging_level", TEXT), F("environment_variables", TEXTS));
TABLE(batch_deployment, "a batch deployment", DEPLOYMENT, F("compute", REF), RESOURCES, RETRY,
      SUB("settings", OBJECT, 0, batch_settings), F("mini_batch_size", INT), F("max_concurrency_per_instance", INT),
      ONE("output_action", 0, "append_row", "summary_only"), F("output_file_name", TEXT), F("error_threshold", INT),
      F("logging_level", TEXT), F("provisioning_state", TEXT));
TABLE(batch_pipeline, "a pipeline deployment", RESOURCE, F("type", TEXT), LATER("endpoint_name", TEXT), LOCAL("component", 0),
      SUB("settings", OBJECT, 0, setting), LOCAL("job_definition", 0));

/* Schedules and monitors */

TABLE(monitored, "`monitoring_target`", F("ml_task", TEXT), F("endpoint_deployment_id", TEXT), F("model_id", TEXT));
TABLE(alerts, "`alert_notification`", F("emails", LIST));
TABLE(spark_compute, "`compute`", NEED("instance_type", TEXT), NEED("runtime_version", TEXT));
TABLE(signal_, "a signal", NEED("type", TEXT), F("alert_enabled", BOOL), F("component_id", TEXT), F("features", ANY),
      F("input_data", MAP), F("inputs", MAP), F("metric_thresholds", ANY), F("production_data", ANY), F("reference_data", ANY),
      F("sampling_rate", NUMBER), F("workspace_connection_id", TEXT), F("connection_id", TEXT), F("data_segment", MAP),
      F("feature_type_override", TEXTS), F("prompts", ANY), F("properties", MAP));
TABLE(create_monitor, "`create_monitor`", SUB("compute", OBJECT, MIO_AZ_NEED, spark_compute),
      SUB("monitoring_target", OBJECT, 0, monitored), SUB("monitoring_signals", EACH, 0, signal_),
      SUB("alert_notification", OBJECT, MIO_AZ_LOOSE, alerts));
#define SCHEDULE RESOURCE, F("display_name", TEXT), SUB("trigger", OBJECT, MIO_AZ_NEED, trigger), F("is_enabled", BOOL), \
    F("provisioning_state", TEXT)
TABLE(schedule, "a schedule", SCHEDULE, F("create_job", RUNNABLE), SUB("import_data", REF, MIO_AZ_LOCAL, data_import));
TABLE(monitor, "a monitor", SCHEDULE, SUB("create_monitor", OBJECT, MIO_AZ_NEED, create_monitor));

/* Packages and features */

TABLE(package_input, "a package input", F("type", TEXT), F("path", TEXT), F("mode", TEXT), F("mount_path", TEXT));
TABLE(server, "`inferencing_server`", NEED("type", TEXT), SUB("code_configuration", OBJECT, 0, code_configuration),
      F("inference_configuration", MAP), F("server_route", MAP));
TABLE(base_environment, "`base_environment_source`", NEED("type", TEXT), F("resource_id", TEXT));
TABLE(model_configuration, "`model_configuration`", F("mode", TEXT), F("mount_path", TEXT));
TABLE(model_package, "a model package", SCHEMA, LABELS, LOOSE("target_environment", TEXT), F("target_environment_name", TEXT),
      SUB("inferencing_server", OBJECT, MIO_AZ_NEED, server), SUB("base_environment_source", OBJECT, 0, base_environment),
      SUB("model_configuration", OBJECT, 0, model_configuration), SUB("inputs", ITEMS, 0, package_input),
      F("environment_variables", TEXTS));
TABLE(column, "a column", NEED("name", TEXT), NEED("type", TEXT));
TABLE(feature_entity, "a feature store entity", ASSET, SUB("index_columns", ITEMS, MIO_AZ_NEED, column));
TABLE(feature_path, "`specification`", NEED("path", PATH));
TABLE(feature_set, "a feature set", ASSET, NEED("entities", LIST), SUB("specification", OBJECT, MIO_AZ_NEED, feature_path),
      F("materialization_settings", MAP), F("feature_window", MAP));

/* The rows */

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
const struct mio_azureml_entity mio_az_entities[] = {
    {"workspace", "workspace", NAMES("workspace"), NULL, &workspace},
    {"hub", "workspace", NAMES("hub"), NULL, &workspace},
    {"project", "workspace", NAMES("project"), NULL, &workspace},
    {"featureStore", "workspace", NAMES("featurestore"), NULL, &feature_store},
    {"registry", "registry", NAMES("registry"), NULL, &registry},
    {"amlCompute", "compute", NAMES("amlcompute"), "amlcompute", &aml_compute},
    {"computeInstance", "compute", NAMES("computeinstance"), "computeinstance", &compute_instance},
    {"kubernetesCompute", "compute", NAMES("kubernetescompute"), "kubernetes", &attached_compute},
    {"vmCompute", "compute", NAMES("vmcompute"), "virtualmachine", &attached_compute},
    {"synapseSparkCompute", "compute", NAMES("synapsesparkcompute", "sparkcompute"), "synapsespark", &attached_compute},
    {"azureBlob", "datastore", NAMES("azureblob"), "azure_blob", &blob_store},
    {"azureFile", "datastore", NAMES("azurefile"), "azure_file", &file_store},
    {"azureDataLakeGen1", "datastore", NAMES("azuredatalakegen1"), "azure_data_lake_gen1", &gen1_store},
    {"azureDataLakeGen2", "datastore", NAMES("azuredatalakegen2"), "azure_data_lake_gen2", &gen2_store},
    {"oneLake", "datastore", NAMES("onelake"), "one_lake", &lake_store},
    {"connection", "connection", NAMES("connection", "workspaceconnection"), NULL, &connection},
    {"environment", "environment", NAMES("environment"), NULL, &environment},
    {"data", "data", NAMES("data"), NULL, &data},
    {"dataImport", "data", NAMES("dataimport"), NULL, &data_import},
    {"model", "model", NAMES("model"), NULL, &model},
    {"modelPackage", "model_package", NAMES("modelversionpackage", "modelpackage"), NULL, &model_package},
    {"featureStoreEntity", "feature_entity", NAMES("featurestoreentity"), NULL, &feature_entity},
    {"featureSet", "feature_set", NAMES("featureset"), NULL, &feature_set},
    {"commandComponent", "component", NAMES("commandcomponent"), "command", &command_component},
    {"pipelineComponent", "component", NAMES("pipelinecomponent"), "pipeline", &pipeline_component},
    {"sparkComponent", "component", NAMES("sparkcomponent"), "spark", &spark_component},
    {"parallelComponent", "component", NAMES("parallelcomponent"), "parallel", &parallel_component},
    {"sweepComponent", "component", NAMES("sweepcomponent"), "sweep", &sweep_component},
    {"importComponent", "component", NAMES("importcomponent"), "import", &import_component},
    {"commandJob", "job", NAMES("commandjob"), "command", &command_job},
    {"pipelineJob", "job", NAMES("pipelinejob"), "pipeline", &pipeline_job},
    {"sweepJob", "job", NAMES("sweepjob"), "sweep", &sweep_job},
    {"sparkJob", "job", NAMES("sparkjob"), "spark", &spark_job},
    {"autoMLJob", "job", NAMES("automljob"), "automl", &automl_job},
    {"finetuningJob", "job", NAMES("finetuningjob"), "finetuning", &finetuning_job},
    {"distillationJob", "job", NAMES("distillationjob"), "distillation", &distillation_job},
    {"managedOnlineEndpoint", "endpoint", NAMES("managedonlineendpoint", "onlineendpoint"), NULL, &online_endpoint},
    {"kubernetesOnlineEndpoint", "endpoint", NAMES("kubernetesonlineendpoint"), NULL, &online_endpoint},
    {"batchEndpoint", "endpoint", NAMES("batchendpoint"), NULL, &batch_endpoint},
    {"serverlessEndpoint", "endpoint", NAMES("serverlessendpoint"), NULL, &serverless_endpoint},
    {"marketplaceSubscription", "subscription", NAMES("marketplacesubscription"), NULL, &subscription},
    {"managedOnlineDeployment", "deployment", NAMES("managedonlinedeployment", "onlinedeployment"), NULL, &managed_deployment},
    {"kubernetesOnlineDeployment", "deployment", NAMES("kubernetesonlinedeployment"), NULL, &kubernetes_deployment},
    {"batchDeployment", "deployment", NAMES("batchdeployment", "modelbatchdeployment"), NULL, &batch_deployment},
    {"pipelineBatchDeployment", "deployment", NAMES("pipelinecomponentbatchdeployment", "pipelinebatchdeployment"), NULL, &batch_pipeline},
    {"schedule", "schedule", NAMES("schedule"), NULL, &schedule},
    {"monitor", "monitor", NAMES("monitor", "monitorschedule"), NULL, &monitor},
};
const size_t mio_az_nentities = sizeof mio_az_entities / sizeof *mio_az_entities;
/* clang-format on */

const struct mio_az_table *mio_az_step(struct mio_str type)
{
    static const struct {
        const char *type;
        const struct mio_az_table *table;
    } steps[] = {
        {"command", &command_step}, {"pipeline", &pipeline_step},
        {"spark", &spark_step},     {"parallel", &parallel_step},
        {"sweep", &sweep_step},     {"automl", &automl_step},
        {"import", &import_step},   {"data_transfer", &data_transfer_step},
        {"", &command_step}, /* without a type: a component, or a command */
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (mio_str_is(type, steps[i].type))
            return steps[i].table;
    return NULL;
}

const struct mio_azureml_entity *mio_az_entity(const char *name)
{
    for (size_t i = 0; i < mio_az_nentities; i++)
        if (mio_str_is(mio_str_z(name), mio_az_entities[i].name))
            return &mio_az_entities[i];
    return NULL;
}
