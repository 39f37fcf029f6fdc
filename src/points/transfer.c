/*
 * transfer.c: points that go to another member, or into another points type.
 *
 * Both accounts are locked first, the smaller member (or the points type that
 * sorts first) before the other, so that two transfers never wait for each other
 * in a circle.  A transfer keeps lots apart: what arrives expires when it would
 * have.
 */
#include "crm_member.h"
#include "points/ledger.h"
#include "query.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

int64
PostTransfer(Act *act, int64 to_member)
{
	Act			in = *act;
	LotUse		use = {0};
	int64		balance;
	bool		done;

	SPI_connect();
	if (!FindAct(act, -act->points, &balance))
	{
		AddToAccount(Min(act->member_id, to_member), act->type, 0, 0, DT_NOBEGIN, DT_NOEND);
		AddToAccount(Max(act->member_id, to_member), act->type, 0, 0, DT_NOBEGIN, DT_NOEND);
		balance = TakePoints(act, &use, &done).balance;
		in.kind = "transfer_in";
		in.member_id = to_member;
		in.other_member = act->member_id;
		in.ref = NULL;
		in.available_at = act->at;
		for (int i = 0; done && i < use.n; i++)
		{
			Lot			lot = LoadLot(act->member_id, act->type, use.lot_nos[i]);

			in.points = use.points[i];
			in.earned_at = lot.earned_at;
			in.expires_at = lot.expires_at;
			GrantLot(&in);
		}
	}
	SPI_finish();
	return balance;
}

static int64
Converted(const Act *act, const PointsType *to_type)
{
	static CrmQuery query = {
		"SELECT rate, rounding FROM crm_member.points_conversion "
		"WHERE from_type = $1 AND to_type = $2",
		2, {TEXTOID, TEXTOID}};
	Datum		values[2];
	bool		isnull;
	Decimal		rate;
	Decimal		from = {act->points, act->type->decimals};
	int64		points;

	values[0] = CStringGetTextDatum(act->type->name);
	values[1] = CStringGetTextDatum(to_type->name);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		ereport(ERROR, (errcode(ERRCODE_CRM_NO_CONVERSION),
						errmsg("points type \"%s\" is not converted into \"%s\"", act->type->name,
							   to_type->name),
						errhint("Table crm_member.points_conversion says what is.")));
	rate = NumericToDecimal(DatumGetNumeric(QueryColumn(0, 1, &isnull)), "rate");
	points = MultiplyDecimal(from, rate, to_type->decimals,
							 ParseRounding(TextDatumGetCString(QueryColumn(0, 2, &isnull))));
	if (points <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("so few points convert into none")));
	return points;
}

/* A retry converts into the same points: what came of the first was booked at its time. */
static void
RequireSameTarget(const Act *act, const PointsType *to_type)
{
	static CrmQuery query = {
		"SELECT FROM crm_member.points_entry o "
		/* a merge on the way may have led the giving up to another member's account */
		"CROSS JOIN LATERAL (SELECT o.member_id UNION SELECT b.member_id FROM crm_member.member_kin a "
		"JOIN crm_member.member_kin b ON b.kin = a.kin WHERE a.member_id = o.member_id) m "
		"JOIN crm_member.points_entry i ON i.member_id = m.member_id "
		"AND i.points_type = $3 AND i.kind = 'convert_in' AND i.booked_at = o.booked_at "
		"WHERE o.member_id = $1 AND o.ref = $2",
		3, {INT8OID, TEXTOID, TEXTOID}};
	Datum		values[3];

	values[0] = Int64GetDatum(FindEntry(act->member_id, act->ref)->member_id);
	values[1] = CStringGetTextDatum(act->ref);
	values[2] = CStringGetTextDatum(to_type->name);
	if (RunQuery(&query, values, NULL, false, 1) == 0)
		ReferenceReused(act->ref);
}

int64
PostConversion(Act *act, const PointsType *to_type)
{
	bool		first = strcmp(act->type->name, to_type->name) < 0;
	Act			in = *act;
	LotUse		use = {0};
	int64		balance;
	bool		done = false;

	SPI_connect();
	if (!FindAct(act, -act->points, &balance))
	{
		in.kind = "convert_in";
		in.type = to_type;
		in.points = Converted(act, to_type);
		in.ref = NULL;
		in.earned_at = in.available_at = act->at;
		in.expires_at = ExpiresAt(&to_type->expiry, act->at);
		CheckExpiry(&in);
		AddToAccount(act->member_id, first ? act->type : to_type, 0, 0, DT_NOBEGIN, DT_NOEND);
		AddToAccount(act->member_id, first ? to_type : act->type, 0, 0, DT_NOBEGIN, DT_NOEND);
		balance = TakePoints(act, &use, &done).balance;
		if (done)
			GrantLot(&in);
	}
	if (!done)
		RequireSameTarget(act, to_type);
	SPI_finish();
	return balance;
}
