/*
 * simulate.c: what a draft set of rules would have given for recorded sales.
 */
#include "crm_member.h"
#include "points/points.h"
#include "query.h"
#include "sale/row.h"
#include "setting.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FETCH_ROWS 1000

typedef struct Simulation
{
	ReturnSetInfo *result;
	const RuleSet *set;
	RuleUse    *use;
	MemoryContext sale_context;
	MemoryContext member_context;
	const Member *member;
	int64		member_id;
} Simulation;

/* Put what each rule gives for a sale: one row a rule. */
static void
PutGrants(Simulation *simulation, const Sale *sale, List *awards)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, awards)
	{
		const Award *award = lfirst(cell);

		foreach(inner, award->grants)
		{
			const Grant *grant = lfirst(inner);
			Datum		values[7];
			bool		nulls[7] = {false};

			values[0] = CStringGetTextDatum(grant->rule->code);
			values[1] = CStringGetTextDatum(award->type->name);
			values[2] = Int64GetDatum(sale->member->member_id);
			values[3] = Int64GetDatum(sale->sale_id);
			values[4] = TextOrNull(sale->store, &nulls[4]);
			values[5] = DateADTGetDatum(BusinessDate(sale->sold_at));
			values[6] = NumericGetDatum(MinorToNumeric(grant->points, award->type->decimals));
			tuplestore_putvalues(simulation->result->setResult, simulation->result->setDesc, values,
								 nulls);
		}
	}
}

static void
SimulateSale(Simulation *simulation, Sale *sale)
{
	CHECK_FOR_INTERRUPTS();
	if (simulation->member_id != sale->member_id)
	{
		MemoryContext old = MemoryContextSwitchTo(simulation->member_context);

		MemoryContextReset(simulation->member_context);
		simulation->member = sale->member_id == CRM_GUEST ? NULL : LoadMember(sale->member_id);
		simulation->member_id = sale->member_id;
		MemoryContextSwitchTo(old);
	}
	sale->member = simulation->member;
	PutGrants(simulation, sale, EvaluateSale(simulation->set, sale, simulation->use, NULL));
}

/* draft_points(from, to, rules) -> (rule_code, points_type, member_id, sale_id, store, day, points) */
PG_FUNCTION_INFO_V1(crm_draft_points);
Datum
crm_draft_points(PG_FUNCTION_ARGS)
{
	static CrmQuery query = {
		"SELECT " SALE_COLUMNS " FROM crm_member.sale s JOIN crm_member.sale_line l "
		"ON l.member_id = s.member_id AND l.sale_id = s.sale_id "
		"WHERE s.settled_at IS NOT NULL AND s.member_id > 0 AND s.sold_at >= $1 AND s.sold_at < $2 "
		"ORDER BY s.member_id, s.sold_at, s.source COLLATE \"C\", s.ref COLLATE \"C\", s.sale_id, "
		"l.line_no",
		2, {TIMESTAMPTZOID, TIMESTAMPTZOID}};
	Simulation	simulation = {.result = (ReturnSetInfo *) fcinfo->resultinfo, .member_id = -1};
	Datum		values[2];
	Portal		portal;
	Sale		sale = {0};
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	simulation.set = PG_ARGISNULL(2) ? GetRuleSet() : DraftRuleSet(PG_GETARG_JSONB_P(2));
	simulation.use = BeginRuleUse(simulation.set, true, true);
	simulation.sale_context = AllocSetContextCreate(CurrentMemoryContext, "crm_member simulation",
													ALLOCSET_DEFAULT_SIZES);
	simulation.member_context = AllocSetContextCreate(CurrentMemoryContext, "crm_member buyer",
													  ALLOCSET_SMALL_SIZES);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	SPI_connect();
	portal = OpenQuery(&query, values, true);
	old = MemoryContextSwitchTo(simulation.sale_context);
	for (;;)
	{
		SPITupleTable *table;
		uint64		found;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		table = SPI_tuptable;
		found = SPI_processed;
		if (found == 0)
			break;
		for (uint64 row = 0; row < found; row++)
		{
			SPI_tuptable = table;
			if (ReadSaleRow(row, &sale))
				continue;
			SimulateSale(&simulation, &sale);
			MemoryContextReset(simulation.sale_context);
			memset(&sale, 0, sizeof(sale));
			SPI_tuptable = table;
			ReadSaleRow(row, &sale);
		}
		SPI_freetuptable(table);
	}
	if (sale.nlines > 0)
		SimulateSale(&simulation, &sale);
	MemoryContextSwitchTo(old);
	SPI_cursor_close(portal);
	SPI_finish();
	return (Datum) 0;
}
