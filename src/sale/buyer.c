/*
 * buyer.c: who buys.
 */
#include "crm_member.h"
#include "member/member.h"
#include "query.h"
#include "sale/sale.h"
#include "table.h"
#include "tier/tier.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static void
RefusedStatus(int64 member_id, const char *status)
{
	ereport(ERROR, (errcode(ERRCODE_CRM_MEMBER_STATUS),
					errmsg("member " INT64_FORMAT " is %s", member_id, status),
					errdetail("A member of this status may not do this."),
					errhint("set_member_status() makes a member active again.")));
}

Member *
ReadMemberCells(const Datum *values, const bool *nulls, int64 *merged_into)
{
	Member	   *member = palloc0(sizeof(Member));

	member->member_id = DatumGetInt64(values[0]);
	member->status = TextDatumGetCString(values[1]);
	member->kind = TextDatumGetCString(values[2]);
	member->source = nulls[3] ? NULL : TextDatumGetCString(values[3]);
	member->store = nulls[4] ? NULL : TextDatumGetCString(values[4]);
	member->channel = nulls[5] ? NULL : TextDatumGetCString(values[5]);
	member->joined_at = DatumGetTimestampTz(values[6]);
	member->tags = (ArrayType *) PG_DETOAST_DATUM_COPY(values[7]);
	member->attrs = (Jsonb *) PG_DETOAST_DATUM_COPY(values[8]);
	member->gender = nulls[9] ? NULL : TextDatumGetCString(values[9]);
	member->has_birthday = !nulls[10];
	member->birthday = nulls[10] ? 0 : DatumGetDateADT(values[10]);
	member->tier = nulls[11] ? NULL : TextDatumGetCString(values[11]);
	member->tier_rank = nulls[12] ? 0 : DatumGetInt16(values[12]);
	member->lapses_at = nulls[14] ? DT_NOEND : DatumGetTimestampTz(values[14]);
	member->tier_beneath = nulls[15] ? NULL : TextDatumGetCString(values[15]);
	member->rank_beneath = nulls[16] ? 0 : DatumGetInt16(values[16]);
	*merged_into = nulls[13] ? CRM_GUEST : DatumGetInt64(values[13]);
	return member;
}

const char *
BuyerTier(const Member *member, TimestampTz at, int *rank)
{
	bool		lapsed = at >= member->lapses_at;

	*rank = lapsed ? member->rank_beneath : member->tier_rank;
	return lapsed ? member->tier_beneath : member->tier;
}

static CrmTable member_table = {
	"member", .ncolumns = 10, .columns = {
		{"member_id", INT8OID}, {"status", TEXTOID}, {"kind", TEXTOID}, {"source", TEXTOID},
		{"store", TEXTOID}, {"channel", TEXTOID}, {"joined_at", TIMESTAMPTZOID},
		{"tags", TEXTARRAYOID}, {"attrs", JSONBOID}, {"merged_into", INT8OID}}};
static CrmTable person_table = {
	"person", .ncolumns = 2, .columns = {{"gender", TEXTOID}, {"birthday", DATEOID}}};
static CrmTable holding_table = {
	"member_tier", .ncolumns = 3, .columns = {
		{"tier_code", TEXTOID}, {"manual_until", TIMESTAMPTZOID}, {"earned_tier", TEXTOID}}};

/* The columns of the row with this member_id; null where there is none. */
static void
ReadCells(TableRows *rows, int64 member_id, Datum *cells, bool *nulls)
{
	Datum		key = Int64GetDatum(member_id);
	bool		found = FindRow(rows, &key);

	for (int i = 0; i < rows->table->ncolumns; i++)
	{
		nulls[i] = true;
		if (found)
			cells[i] = RowColumn(rows, i, &nulls[i]);
	}
}

/* The code and the rank of a tier, from this column on. */
static void
TierCells(const Datum *code, bool absent, Datum *cells, bool *nulls)
{
	const Tier *tier = absent ? NULL : FindTier(GetTierSet(), TextDatumGetCString(*code));

	nulls[0] = nulls[1] = tier == NULL;
	if (tier != NULL)
	{
		cells[0] = CStringGetTextDatum(tier->code);
		cells[1] = Int16GetDatum(tier->rank);
	}
}

/* MEMBER_COLUMNS but those of the person, without a statement. */
static Member *
MemberFromRows(TableRows *members, TableRows *holdings, int64 member_id, int64 *merged_into)
{
	Member	   *member;
	Datum		cells[MEMBER_COLUMN_COUNT];
	bool		nulls[MEMBER_COLUMN_COUNT];
	Datum		holding[3];
	bool		absent[3];

	ReadCells(members, member_id, cells, nulls);
	if (nulls[0])
		return NULL;
	cells[13] = cells[9];
	nulls[13] = nulls[9];
	nulls[9] = nulls[10] = true;
	ReadCells(holdings, member_id, holding, absent);
	TierCells(&holding[0], absent[0], &cells[11], &nulls[11]);
	cells[14] = holding[1];
	nulls[14] = absent[1];
	TierCells(&holding[2], absent[2], &cells[15], &nulls[15]);
	member = ReadMemberCells(cells, nulls, merged_into);
	member->person_unread = true;
	return member;
}

static Member *
QueryMember(int64 member_id, int64 *merged_into)
{
	static CrmQuery query = {
		"SELECT " MEMBER_COLUMNS " FROM crm_member.member m " MEMBER_JOINS
		"WHERE m.member_id = $1",
		1, {INT8OID}};
	Datum		values[1] = {Int64GetDatum(member_id)};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext old;
	Member	   *member = NULL;

	SPI_connect();
	if (RunQuery(&query, values, NULL, false, 1) == 1)
	{
		Datum		cells[MEMBER_COLUMN_COUNT];
		bool		nulls[MEMBER_COLUMN_COUNT];

		heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, cells, nulls);
		old = MemoryContextSwitchTo(caller);
		member = ReadMemberCells(cells, nulls, merged_into);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return member;
}

struct BuyerRows
{
	TableRows  *members;		/* NULL: use statements, and so below */
	TableRows  *holdings;
};

BuyerRows *
OpenBuyers(void)
{
	BuyerRows  *rows = palloc(sizeof(BuyerRows));

	rows->members = OpenRows(&member_table, ACL_SELECT);
	rows->holdings = rows->members == NULL ? NULL : PeekRows(&holding_table);
	return rows;
}

void
CloseBuyers(BuyerRows *rows)
{
	CloseRows(rows->holdings);
	CloseRows(rows->members);
	pfree(rows);
}

/* Follow merges to who the member is now; NULL where there is none. */
static Member *
FindMember(const BuyerRows *rows, int64 member_id)
{
	Member	   *member;
	int64		next = member_id;

	do
	{
		CHECK_FOR_INTERRUPTS();
		member = rows->holdings != NULL
			? MemberFromRows(rows->members, rows->holdings, next, &next)
			: QueryMember(next, &next);
	} while (member != NULL && next != CRM_GUEST);
	return member;
}

void
ReadPerson(Member *member)
{
	static CrmQuery query = {"SELECT gender, birthday FROM crm_member.person WHERE member_id = $1",
							 1, {INT8OID}};
	MemoryContext context = GetMemoryChunkContext(member);
	TableRows  *persons;
	Datum		cells[2] = {Int64GetDatum(member->member_id)};
	bool		nulls[2] = {true, true};

	if (!member->person_unread)
		return;
	SPI_connect();
	persons = OpenRows(&person_table, ACL_SELECT);
	if (persons != NULL)
		ReadCells(persons, member->member_id, cells, nulls);
	else if (RunQuery(&query, cells, NULL, false, 1) == 1)
		heap_deform_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, cells, nulls);
	if (!nulls[0])
		member->gender = MemoryContextStrdup(context, TextDatumGetCString(cells[0]));
	member->has_birthday = !nulls[1];
	member->birthday = nulls[1] ? 0 : DatumGetDateADT(cells[1]);
	member->person_unread = false;
	CloseRows(persons);
	SPI_finish();
}

Member *
LoadMember(int64 member_id)
{
	BuyerRows  *rows = OpenBuyers();
	Member	   *member = FindMember(rows, member_id);

	CloseBuyers(rows);
	return member;
}

/* NULL: there is none; else also into which it was merged, or CRM_GUEST. */
static char *
ReadStatus(int64 member_id, int64 *merged_into)
{
	static CrmTable table = {
		"member", .ncolumns = 3, .columns = {
			{"member_id", INT8OID}, {"status", TEXTOID}, {"merged_into", INT8OID}}};
	static CrmQuery query = {"SELECT member_id, status, merged_into FROM crm_member.member "
							 "WHERE member_id = $1",
							 1, {INT8OID}};
	TableRows  *rows = OpenRows(&table, ACL_SELECT);
	Datum		key = Int64GetDatum(member_id);
	MemoryContext caller = CurrentMemoryContext;
	Datum		value;
	bool		isnull;
	char	   *status = NULL;

	if (rows != NULL)
	{
		if (FindRow(rows, &key))
		{
			value = RowColumn(rows, 2, &isnull);
			*merged_into = isnull ? CRM_GUEST : DatumGetInt64(value);
			status = TextDatumGetCString(RowColumn(rows, 1, &isnull));
		}
		CloseRows(rows);
		return status;
	}
	SPI_connect();
	if (RunQuery(&query, &key, NULL, false, 1) == 1)
	{
		value = QueryColumn(0, 3, &isnull);
		*merged_into = isnull ? CRM_GUEST : DatumGetInt64(value);
		status = MemoryContextStrdup(caller, TextDatumGetCString(QueryColumn(0, 2, &isnull)));
	}
	SPI_finish();
	return status;
}

const char *const active_members[] = {"active", NULL};
const char *const living_members[] = {"active", "inactive", "lost", NULL};
const char *const all_members[] = {"active", "inactive", "lost", "cancelled", NULL};

/* The status of a member, or of whom it is merged into; error RM101. */
static char *
FollowStatus(int64 *member_id)
{
	int64		next = *member_id;
	char	   *status;

	do
	{
		CHECK_FOR_INTERRUPTS();
		*member_id = next;
		status = ReadStatus(*member_id, &next);
		if (status == NULL)
			UnknownMember(*member_id);
	} while (next != CRM_GUEST);
	return status;
}

static bool
IsOneOf(const char *status, const char *const *allowed)
{
	while (*allowed != NULL && strcmp(*allowed, status) != 0)
		allowed++;
	return *allowed != NULL;
}

int64
RequireMember(int64 member_id, const char *const *allowed)
{
	char	   *status = FollowStatus(&member_id);

	if (!IsOneOf(status, allowed))
		RefusedStatus(member_id, status);
	return member_id;
}

bool
MemberIs(int64 *member_id, const char *const *allowed)
{
	return IsOneOf(FollowStatus(member_id), allowed);
}

Member *
BuyerFromRows(const BuyerRows *rows, int64 member_id)
{
	Member	   *member = FindMember(rows, member_id);

	if (member == NULL)
		UnknownMember(member_id);
	if (strcmp(member->status, "active") != 0)
		RefusedStatus(member->member_id, member->status);
	return member;
}

Member *
LoadBuyer(int64 member_id)
{
	BuyerRows  *rows;
	Member	   *member;

	if (member_id == CRM_GUEST)
		return NULL;
	rows = OpenBuyers();
	member = BuyerFromRows(rows, member_id);
	CloseBuyers(rows);
	return member;
}

/* The member a document names, as it was named, or CRM_GUEST where it names nobody. */
int64
ResolveBuyer(const SaleDocument *document)
{
	int64		id;

	if (document->identity_kind == NULL)
		return document->sale.member_id;
	if (strcmp(document->identity_kind, CARD_KIND) == 0)
		return UsableCard(document->identity_value, document->sale.sold_at);
	id = FindHolder(document->identity_kind, document->identity_value);
	if (id == CRM_GUEST)
		ereport(ERROR, (errcode(ERRCODE_CRM_UNKNOWN_MEMBER),
						errmsg("no member has this %s", document->identity_kind),
						errhint("Register the member first, or leave out \"identity\" to sell to a guest.")));
	return id;
}

/* The only one of those merged into a member who belongs to that store; CRM_GUEST: none, or several. */
static int64
MergedMemberOfStore(int64 member_id, const char *store)
{
	static CrmQuery query = {
		"SELECT CASE WHEN count(*) = 1 THEN min(m.member_id) ELSE 0 END "
		"FROM (SELECT * FROM crm_member.member_kin WHERE member_id = $1) k "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member_kin o WHERE o.kin = k.kin AND o.root = k.member_id "
		"AND o.member_id <> k.member_id OFFSET 0) o "
		"CROSS JOIN LATERAL (SELECT * FROM crm_member.member m WHERE m.member_id = o.member_id AND m.store = $2 OFFSET 0) m",
		2, {INT8OID, TEXTOID}};
	Datum		values[2];
	int64		found;
	bool		isnull;

	values[0] = Int64GetDatum(member_id);
	values[1] = CStringGetTextDatum(store);
	SPI_connect();
	RunQuery(&query, values, NULL, false, 1);
	found = DatumGetInt64(QueryColumn(0, 1, &isnull));
	SPI_finish();
	return found;
}

/* May the store decide with whom it is booked? */
static bool
StoreDecides(const SaleDocument *document)
{
	const Sale *sale = &document->sale;

	return document->identity_kind == NULL && sale->member != NULL && sale->store != NULL &&
		(sale->member->store == NULL || strcmp(sale->member->store, sale->store) != 0);
}

bool
HoldAttribution(const SaleDocument *document, int64 named)
{
	char	   *status;

	if (!StoreDecides(document))
		return false;
	SPI_connect();
	LockMember(named, &status);
	SPI_finish();
	return true;
}

/*
 * A sale to somebody who is merged into another is booked with whom the buyer was
 * named by, so that it goes with him should the merge be undone.
 */
void
AttributeSale(SaleDocument *document, int64 named)
{
	Sale	   *sale = &document->sale;
	const Member *member = sale->member;
	int64		of_store;

	sale->member_id = named;
	if (named != member->member_id)
	{
		sale->named_by = document->identity_kind ? document->identity_kind : "member_id";
		return;
	}
	if (!StoreDecides(document))
		return;
	of_store = MergedMemberOfStore(named, sale->store);
	if (of_store == CRM_GUEST)
		return;
	sale->member_id = of_store;
	sale->named_by = "store";
}

void
RecordAttribution(const Sale *sale)
{
	static CrmQuery query = {
		"INSERT INTO crm_member.merged_sale (member_id, sale_id, named_by, survivor) VALUES ($1, $2, $3, $4)",
		4, {INT8OID, INT8OID, TEXTOID, INT8OID}};
	Datum		values[4];

	if (sale->named_by == NULL)
		return;
	values[0] = Int64GetDatum(sale->member_id);
	values[1] = Int64GetDatum(sale->sale_id);
	values[2] = CStringGetTextDatum(sale->named_by);
	values[3] = Int64GetDatum(sale->member->member_id);
	SPI_connect();
	RunQuery(&query, values, NULL, false, 0);
	SPI_finish();
}
