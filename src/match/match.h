/*
 * match.h: finding records that mean the same person or thing.
 *
 * A model says which columns of a source are compared and how.  Each distinct
 * value of a column is read once into a MatchValue; a record is one value
 * number a field; a pair of records is a pattern of agreement levels, four bits
 * a field, from which its weight follows (Fellegi & Sunter 1969).
 */
#ifndef CRM_MATCH_H
#define CRM_MATCH_H

#include "crm_member.h"
#include "text/similar.h"
#include "text/text.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#define MATCH_MAX_FIELDS 16
#define MATCH_MAX_LEVELS 8
#define MATCH_NEVER MATCH_MAX_LEVELS /* no level says that two are not one */
#define MATCH_MAX_FORMS 3
#define MATCH_MAX_TOKENS 24
#define MATCH_MAX_NUMBERS 8
#define LETTERS_MAX 64     /* of the reading of a name */
#define WEIGHT_SCALE 10000 /* a weight is stored as an integer of 1/10000 bit */

struct MatchField;

/* The parts of a value: words, pairs of Han characters, numbers of an address. */
typedef struct MatchWords
{
	uint32 *tokens; /* numbers in the field's token table */
	Rune  **token_runes;
	int16  *token_length;
	uint32 *letters; /* of each token: which letters it has, as bits */
	uint64 (*groups)[2]; /* of each token: the names it is a short form of */
	int32 *numbers;
	uint64 road;      /* a road without what tells it from its sisters, and that: the */
	uint64 road_mark; /* 北一 of 中山北一路; 0 where there is none */
} MatchWords;

/* One distinct value of a column, read and folded. */
typedef struct MatchValue
{
	uint32 form[MATCH_MAX_FORMS]; /* numbers of the forms whose frequency counts; 0 none */
	uint8  kind;                  /* NameKind, or the comparator's own */
	char   gender;
	uint8  nsurname;
	uint8  ntokens;
	uint8  nnumbers;
	uint8  nkeys;
	uint8  nweak; /* the last keys only narrow a crowded block */
	uint8  surname_letters;
	int16  nrunes;
	int16  nletters; /* of the reading in plain letters */
	union
	{
		double number;
		struct
		{
			int16 year;
			int16 month;
			int16 day;
		};
		struct
		{
			int32 period; /* of the use of an identifier; 0: not known */
			int32 era;    /* periods with no long gap between them */
		};
	};
	Rune       *runes;   /* the canonical form */
	char       *letters; /* reading: family name first */
	uint64     *keys;    /* blocking keys */
	MatchWords *words;   /* NULL where there are none */
} MatchValue;

/*
 * Besides pairs that match and pairs that have nothing in common there are related
 * pairs: a family on one telephone, two shops in one house.  How a field behaves
 * among them.
 */
typedef enum RelationRole
{
	ROLE_OWN,    /* as among strangers */
	ROLE_SHARED, /* as in a match: telephone, address */
	ROLE_KIN     /* in its own way: names */
} RelationRole;

typedef struct Level
{
	const char *name;
	double      m;    /* where estimation starts */
	double      u;    /* what to take while nothing was estimated */
	int         form; /* form whose frequency adjusts the weight, or -1 */
} Level;

typedef struct Comparator
{
	const char *name;
	int         nlevels; /* the last one is disagreement */
	Level       levels[MATCH_MAX_LEVELS];
	bool (*read)(struct MatchField *field, const char *text, MatchValue *value);
	int (*compare)(const struct MatchField *field, const MatchValue *a, const MatchValue *b);
	double       least;     /* the ratio m / u goes no lower: disagreement says little */
	int          contrary;  /* from this level on a pair needs more to be merged without asking */
	double       frequency; /* how far the frequency of a value counts */
	bool         paired;    /* that two values often go together in a match counts */
	const char  *over_time; /* the comparator that takes the time of use into account */
	double       held;      /* the start of m counts for this share of the pairs seen */
	RelationRole role;
	double       related[MATCH_MAX_LEVELS]; /* ROLE_KIN: where estimation starts for relatives */
} Comparator;

/* Levels of the comparator nickname. */
enum
{
	NICKNAME_EQUAL,
	NICKNAME_NAME,
	NICKNAME_HINT,
	NICKNAME_OTHER
};

/* The level says that the values are equal. */
static inline bool
IsEqualLevel(const Comparator *comparator, int level)
{
	return level >= 0 && comparator->levels[level].form == 0;
}

/* Dense numbers for 64-bit hashes. */
typedef struct Interner
{
	uint32  count; /* numbers 1..count are in use */
	uint32  size;
	uint64 *hashes;
	uint32 *slots;
} Interner;

typedef struct MatchField
{
	char             *column;
	const Comparator *comparator;
	int               partner; /* the name a nickname goes with, family to given name; or -1 */
	int               within;  /* counts only where this field does not agree; or -1 */
	char             *seen;    /* columns that say since when, and until when, a record */
	char             *until;   /* used the identifier; or NULL */
	int               idle;    /* days after which it may have passed to another */
	int               column_number;
	Interner          texts;
	MatchValue      **values; /* [1 .. texts.count]; NULL: illegible */
	uint32            values_size;
	Interner          forms[MATCH_MAX_FORMS];
	uint32           *entities[MATCH_MAX_FORMS]; /* how many entities hold each form */
	Interner          tokens;
	uint32           *token_count; /* records that hold each token */
	uint32            token_size;
	float            *token_weight; /* of each token, once all records are read */
	struct together_hash *together; /* matches in which two different values meet */
	double                matched;  /* matches in which both sides have a value */
	double            m[MATCH_MAX_LEVELS];
	double            u[MATCH_MAX_LEVELS];
	double            r[MATCH_MAX_LEVELS]; /* among related pairs */
	bool              pinned;              /* m and u were given by the model */
	double        rare[MATCH_MAX_FORMS]; /* expected other holders of a form that nobody else has */
	double        holders[MATCH_MAX_FORMS]; /* entities that have a value */
	MemoryContext context;
} MatchField;

typedef struct MatchModel
{
	char         *code;
	char         *progress; /* what other sessions see it called */
	char         *source;
	char         *key;
	int           nfields;
	MatchField    fields[MATCH_MAX_FIELDS];
	double        auto_threshold;
	double        review_threshold;
	int           max_block;
	int           idle;    /* days after which an identifier may have passed to another */
	double        prior;   /* share of matches among all pairs */
	double        related; /* share of related pairs */
	MemoryContext context;
} MatchModel;

typedef struct MatchData
{
	uint32  nrows;
	uint32  size;
	char  **keys;  /* of the source */
	uint32 *by_key; /* rows by key */
	uint32 *cells; /* nrows x nfields numbers of values; 0 null */
} MatchData;

/* When the identifier in a cell was in use, in days. */
typedef struct Sighting
{
	uint32 *cell;
	int32   since;
	int32   until;
} Sighting;

/* A candidate: left < right are row numbers. */
typedef struct MatchPair
{
	uint32 left;
	uint32 right;
	uint64 pattern;
} MatchPair;

typedef struct MatchPairs
{
	MatchPair *pairs;
	uint64     count;
	uint64     size;
} MatchPairs;

typedef struct MatchEdge
{
	uint32 left;
	uint32 right;
	int32  weight; /* scaled */
	bool   linked;    /* both ends are in one cluster */
	bool   automatic; /* and may be merged without asking */
} MatchEdge;

typedef double LevelTable[MATCH_MAX_FIELDS][MATCH_MAX_LEVELS];

struct pattern_hash;

typedef struct Estimate
{
	double               all; /* pairs there are */
	double               nsampled;
	LevelTable           sampled;  /* levels of the sample */
	struct pattern_hash *patterns; /* of the candidates, counted */
	uint64               candidates;
	int                  iterations;
	bool                 converged;
	double               matches; /* expected number of matching pairs */
	double               related; /* and of related ones */
} Estimate;

#define PATTERN_LEVEL(pattern, field) ((int) (((pattern) >> ((field) *4)) & 15) - 1)

/* evidence.c */
extern void  AppendBits(StringInfo out, int32 scaled);
extern char *BitsText(int32 scaled);
extern char *EvidenceText(const MatchModel *model, const MatchData *data, uint32 left, uint32 right,
						  uint64 pattern, const uint32 *cluster, int32 relation);

/* value.c */
extern uint32            InternHash(Interner *interner, uint64 hash);
extern uint32            InternForm(MatchField *field, int form, uint64 hash);
extern const Comparator *FindComparator(const char *name);
extern void   ReportComparator(const char *name, const char *column) pg_attribute_noreturn();
extern uint32 ReadValue(MatchField *field, const char *text, MemoryContext scratch);
extern void   AddKey(MatchValue *value, int kind, uint64 hash);
extern void   AddWeakKey(MatchValue *value, int kind, uint64 hash);

/* name.c, alike.c, word.c, place.c, plain.c: readers and comparers */
extern int  AddRunes(char *letters, int n, const Rune *runes, int nrunes);
extern bool ReadPersonName(MatchField *field, const char *text, MatchValue *value);
extern int  ComparePersonName(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadWordName(MatchField *field, const char *text, MatchValue *value);
extern int  CompareWordName(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadNickname(MatchField *field, const char *text, MatchValue *value);
extern int  NicknameHint(const MatchValue *nickname, const MatchValue *name);
extern int  CompareNickname(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadAddress(MatchField *field, const char *text, MatchValue *value);
extern int  CompareAddress(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadFreeText(MatchField *field, const char *text, MatchValue *value);
extern int  CompareFreeText(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadCategory(MatchField *field, const char *text, MatchValue *value);
extern int  CompareCategory(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadPhone(MatchField *field, const char *text, MatchValue *value);
extern int  ComparePhone(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadEmail(MatchField *field, const char *text, MatchValue *value);
extern int  CompareEmail(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ParseWrittenDate(const char *text, int *year, int *month, int *day);
extern bool ReadDate(MatchField *field, const char *text, MatchValue *value);
extern int  CompareDate(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadId(MatchField *field, const char *text, MatchValue *value);
extern int  CompareId(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadNumeric(MatchField *field, const char *text, MatchValue *value);
extern int  CompareNumeric(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern int  CompareYear(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern bool ReadGender(MatchField *field, const char *text, MatchValue *value);
extern int  CompareGender(const MatchField *field, const MatchValue *a, const MatchValue *b);

extern bool ReadBlind(MatchField *field, const char *text, MatchValue *value);
extern int  CompareBlind(const MatchField *field, const MatchValue *a, const MatchValue *b);

/* time.c */
extern Sighting ReadSighting(const char *since, const char *until);
extern Sighting SeenNow(void);
extern void     SplitByTime(MatchField *field, Sighting *seen, uint32 n);
extern int ComparePhoneOverTime(const MatchField *field, const MatchValue *a, const MatchValue *b);
extern int CompareIdOverTime(const MatchField *field, const MatchValue *a, const MatchValue *b);

/* model.c */
extern MatchModel *LoadModel(const char *code);
extern MatchField *AddField(MatchModel *model, const char *column, const char *comparator);
extern void        FindPartners(MatchModel *model);
extern void        DropNicknames(MatchModel *model, uint32 *cells);
extern char       *MatchSourceQuery(MatchModel *model);

/* word.c */
extern bool   SameReading(Rune a, Rune b, bool surname);
extern uint64 HashRunes(const Rune *runes, int n, uint64 seed);
extern bool   IsWordRune(Rune rune);
extern void   AddToken(MatchField *field, MatchValue *value, const Rune *runes, int n);
extern void   Tokenize(MatchField *field, const char *text, MatchValue *value, bool address);
extern void   WeighTokens(MatchField *field);
extern double WordLikeness(const MatchField *field, const MatchValue *a, const MatchValue *b,
						   double *contained, double *apart);

/* pair.c */
extern uint64 ComparePattern(const MatchModel *model, const uint32 *a, const uint32 *b);

/* block.c */
extern void FindCandidates(MatchModel *model, MatchData *data, Estimate *estimate,
						   MatchPairs *pairs, StringInfo hot);

/* estimate.c */
extern void   StartEstimate(MatchModel *model, MatchData *data, Estimate *estimate);
extern bool   CountPattern(const MatchModel *model, Estimate *estimate, uint64 pattern);
extern void   FinishEstimate(MatchModel *model, Estimate *estimate);
extern bool   HasRelations(const MatchModel *model);

/* weight.c */
extern void   CountEntities(MatchModel *model, MatchData *data, const uint32 *cluster);
extern void   CountTogether(MatchModel *model, const MatchData *data, const MatchEdge *edges,
							uint64 nedges);
extern int32  PriorWeight(const MatchModel *model);
extern int32  PairWeight(const MatchModel *model, const MatchData *data, uint32 left, uint32 right,
						 uint64 pattern, const uint32 *cluster, int32 *relation);
extern double RelatedProbability(const MatchModel *model, const MatchData *data, uint32 left,
								 uint32 right, uint64 pattern, const uint32 *cluster);
extern int32  FieldWeight(const MatchModel *model, int f, int level, const MatchValue *a,
						  const MatchValue *b, int shared, int32 *adjustment);
extern double WeightProbability(int32 weight);

/* key.c: members as records of the model "member" */
#define CANDIDATE_COLUMNS 9
#define MATCH_MAX_KEYS 256 /* of a member */
#define KEYED_FIELDS 4 /* the first columns of a candidate make keys */
extern MatchModel *MemberModel(int nfields, bool with_shares);
extern int64       MemberKey(int column, uint64 key);
extern int         WholeNameKeys(const MatchValue *name);
extern void        ReadCandidate(Jsonb *candidate, char **texts);

/* decide.c */
extern void DecidePairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges,
						const uint32 *weighed);

/* write.c */
extern int  CompareKeys(const char *a, const char *b);
extern void WritePairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges,
					   const uint32 *weighed);
extern void WriteClusters(MatchModel *model, MatchData *data, const uint32 *cluster);
extern void WriteRelations(MatchModel *model, MatchData *data, const MatchPairs *pairs,
						   const uint32 *cluster, const uint32 *weighed);
extern void WriteRun(MatchModel *model, MatchData *data, Estimate *estimate, uint64 found,
					 StringInfo hot);

/* cluster.c */
extern void ClusterPairs(MatchModel *model, MatchData *data, MatchEdge *edges, uint64 nedges,
						 int32 threshold, MatchEdge *distinct, uint64 ndistinct, uint32 *cluster);

#endif
