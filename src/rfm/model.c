/*
 * model.c: a row of rfm_model, read.
 */
#include "crm_member.h"
#include "condition/condition.h"
#include "query.h"
#include "rfm/model.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

/*
 * The statement that yields a model's purchases: member, day, amount, then what
 * to subtract from it (for what was paid) and the units (where they count).
 * Without a scope it reads the plain table; with one the views that have a
 * column for every attribute, and where the scope looks at lines, lines.
 */
static char *
PurchaseSql(const Model *model, const Condition *scope, bool of_members)
{
	StringInfoData sql;
	const char *members = of_members ? "sale.member_id = ANY ($1)" : "sale.member_id > 0";
	bool		units = model->frequency_of == FREQUENCY_UNITS;
	bool		lines = scope != NULL && UsesSubject(scope, SUBJECT_LINE);
	const char *table = scope != NULL ? "sale_fact" : "sale";
	char	   *holds = scope != NULL ? psprintf(" AND (%s)", ConditionToSql(scope)) : "";

	initStringInfo(&sql);
	if (lines)
	{
		appendStringInfo(&sql,
						 "SELECT sale.member_id, min(sale.sold_at), sum(line.amount)%s%s "
						 "FROM crm_member.sale_fact sale "
						 "JOIN crm_member.line_fact line USING (member_id, sale_id) "
						 "WHERE sale.settled_at IS NOT NULL AND %s%s "
						 "GROUP BY sale.member_id, sale.sale_id",
						 model->gross ? "" : ", sum(line.discount)",
						 units ? ", sum(line.quantity)" : "", members, holds);
		return sql.data;
	}
	appendStringInfo(&sql,
					 "SELECT sale.member_id, sale.sold_at, %s%s FROM crm_member.%s sale "
					 "WHERE sale.settled_at IS NOT NULL AND %s%s",
					 model->gross ? "sale.amount" :
					 scope != NULL ? "sale.payable, NULL::numeric" : "sale.payable, sale.shipping",
					 units ? ", 0::numeric" : "", table, members, holds);
	if (units)
		appendStringInfo(&sql,
						 " UNION ALL SELECT sale.member_id, sale.sold_at, NULL%s, line.quantity "
						 "FROM crm_member.%s sale "
						 "JOIN crm_member.sale_line line USING (member_id, sale_id) "
						 "WHERE sale.settled_at IS NOT NULL AND %s%s",
						 model->gross ? "" : ", NULL", table, members, holds);
	return sql.data;
}

/*
 * The statement that yields the refunds of a model's purchases: member, day of
 * the sale, amount, units (where they count), time of the refund.
 */
static char *
RefundSql(const Model *model, const Condition *scope, bool of_members)
{
	StringInfoData sql;
	const char *members = of_members ? "sale.member_id = ANY ($1)" : "sale.member_id > 0";
	bool		units = model->frequency_of == FREQUENCY_UNITS;
	bool		lines = scope != NULL && UsesSubject(scope, SUBJECT_LINE);
	char	   *holds = scope != NULL ? psprintf(" AND (%s)", ConditionToSql(scope)) : "";

	initStringInfo(&sql);
	if (lines)
		appendStringInfo(&sql,
						 "SELECT sale.member_id, sale.sold_at, %s%s, refund.refunded_at "
						 "FROM crm_member.refund "
						 "JOIN crm_member.refund_line back USING (member_id, refund_id) "
						 "JOIN crm_member.sale_fact sale ON sale.member_id = back.member_id "
						 "AND sale.sale_id = back.sale_id "
						 "JOIN crm_member.line_fact line ON line.member_id = back.member_id "
						 "AND line.sale_id = back.sale_id AND line.line_no = back.line_no ",
						 model->gross ? "back.amount" : "back.amount - back.discount",
						 units ? ", back.quantity" : "");
	else
		appendStringInfo(&sql,
						 "SELECT sale.member_id, sale.sold_at, %s%s, refund.refunded_at "
						 "FROM crm_member.refund "
						 "JOIN crm_member.%s sale USING (member_id, sale_id) ",
						 model->gross ? "refund.amount" : "refund.payable - refund.shipping",
						 units ? ", (SELECT sum(l.quantity) FROM crm_member.refund_line l "
								 "WHERE l.member_id = refund.member_id "
								 "AND l.refund_id = refund.refund_id)" : "",
						 scope != NULL ? "sale_fact" : "sale");
	appendStringInfo(&sql, "WHERE sale.settled_at IS NOT NULL AND %s%s", members, holds);
	return sql.data;
}

void
ReadModel(const char *code, DateADT as_of, Model *model)
{
	/* a window of one month to 31 March begins after 28 February, on 1 March */
	static CrmQuery query = {
		"SELECT ($2 - d.\"window\")::date + 1, d.bins, d.ties, d.frequency_of, d.monetary_of, "
		"ARRAY(SELECT v::int FROM jsonb_array_elements_text(d.cuts->'recency') v), "
		"ARRAY(SELECT v::numeric FROM jsonb_array_elements_text(d.cuts->'frequency') v), "
		"ARRAY(SELECT v::numeric FROM jsonb_array_elements_text(d.cuts->'monetary') v), "
		"d.cuts ? 'recency', d.cuts ? 'frequency', d.cuts ? 'monetary', "
		"concat_ws(' ', extract(epoch FROM d.\"window\"), d.frequency_of, d.monetary_of, "
		"s.time_zone, d.scope), "
		"d.scope "
		"FROM crm_member.rfm_model d CROSS JOIN crm_member.setting s WHERE d.model_code = $1",
		2, {TEXTOID, DATEOID}};
	Datum		values[] = {CStringGetTextDatum(code), DateADTGetDatum(as_of)};
	Datum		first_day;
	Datum		scope;
	const Condition *condition;
	char	   *frequency_of;
	bool		isnull;
	bool		given[MEASURE_COUNT];

	if (RunQuery(&query, values, NULL, true, 1) != 1)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MODEL),
						errmsg("RFM model \"%s\" does not exist", code),
						errhint("SELECT model_code FROM crm_member.rfm_model lists them.")));
	model->code = pstrdup(code);
	model->progress = psprintf("run_rfm %s", code);
	first_day = QueryColumn(0, 1, &isnull);
	model->first_day = isnull ? DATEVAL_NOBEGIN : DatumGetDateADT(first_day);

	StartBanding(&model->banding, DatumGetInt16(QueryColumn(0, 2, &isnull)),
				 TextDatumGetCString(QueryColumn(0, 3, &isnull)));
	frequency_of = TextDatumGetCString(QueryColumn(0, 4, &isnull));
	model->frequency_of = strcmp(frequency_of, "orders") == 0 ? FREQUENCY_ORDERS :
						  strcmp(frequency_of, "units") == 0  ? FREQUENCY_UNITS :
																FREQUENCY_DAYS;
	model->gross = strcmp(TextDatumGetCString(QueryColumn(0, 5, &isnull)), "gross") == 0;

	for (int measure = 0; measure < MEASURE_COUNT; measure++)
	{
		Datum		value = QueryColumn(0, 9 + measure, &isnull);

		given[measure] = !isnull && DatumGetBool(value);
	}
	if (given[MEASURE_RECENCY])
		FixRecency(&model->banding, DatumGetArrayTypeP(QueryColumn(0, 6, &isnull)), as_of);
	if (given[MEASURE_FREQUENCY])
		FixNumeric(&model->banding, MEASURE_FREQUENCY,
				   DatumGetArrayTypeP(QueryColumn(0, 7, &isnull)),
				   model->frequency_of == FREQUENCY_UNITS ? UNIT_SCALE : 0);
	if (given[MEASURE_MONETARY])
		FixNumeric(&model->banding, MEASURE_MONETARY,
				   DatumGetArrayTypeP(QueryColumn(0, 8, &isnull)), GetSetting()->money_scale);
	model->definition = TextDatumGetCString(QueryColumn(0, 12, &isnull));
	scope = QueryColumn(0, 13, &isnull);
	condition = isnull ? NULL : (Condition *) PG_DETOAST_DATUM_COPY(scope);
	model->scope = condition;
	model->source = PurchaseSql(model, condition, false);
	model->source_of = PurchaseSql(model, condition, true);
	model->refunds = RefundSql(model, condition, false);
	model->refunds_of = RefundSql(model, condition, true);
}

void
ModelQuery(const Model *model, DateADT as_of, PurchaseQuery *query)
{
	memset(query, 0, sizeof(*query));
	query->sql = model->source;
	query->minus = !model->gross;
	query->units = model->frequency_of == FREQUENCY_UNITS;
	query->days = model->frequency_of == FREQUENCY_DAYS;
	query->scope = model->scope;
	if (!query->units)
		query->sale_column = model->gross ? "amount" : "payable";
	query->first_day = model->first_day;
	query->as_of = as_of;
	query->money_scale = GetSetting()->money_scale;
	query->max_scale = query->money_scale;
}

void
RefundQuery(const Model *model, const PurchaseQuery *purchases, PurchaseQuery *query)
{
	*query = *purchases;
	query->sql = purchases->members != NULL ? model->refunds_of : model->refunds;
	query->minus = false;
	query->days = false;
	query->refunds = true;
	query->sale_column = NULL;
	query->expected = 0;
	query->progress = NULL;
}
