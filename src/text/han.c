/*
 * han.c: what a Han character stands for: its simplified form, its reading, its
 * part in a name.
 *
 * ICU's transliterators are asked once per character and session; the answers
 * stay in flat tables.  The short lists below are what ICU does not know.
 */
#include "crm_member.h"
#include "text/text.h"

#include <unicode/utrans.h>

#define HAN_FIRST 0x3400
#define HAN_LAST 0x9FFF
#define HAN_COUNT (HAN_LAST - HAN_FIRST + 1)
#define SYLLABLE_SIZE 8
#define MAX_SYLLABLES 1024

/*
 * 0 is "not asked yet"; a reading is 1 + the number of its syllable: alone, as a
 * family name, the other one.
 */
static uint16 simplified[HAN_COUNT];
static uint16 reading[3][HAN_COUNT];
static char  syllable[MAX_SYLLABLES][SYLLABLE_SIZE];
static int   nsyllables = 0;
static uint8 is_surname[HAN_COUNT];
static bool  lists_loaded = false;

/* Variants that Traditional-Simplified leaves as they are; 乾 is no 干 in a name. */
static const char variants[] =
	"峯峰甯宁喆哲堃坤昇升陞升珮佩綵彩祕秘牠它羣群堦阶犇奔勳勋燻熏檯台祐佑菓果艷艳邨村嵗岁乾乾";

/* Family names with one character, most of the Hundred Surnames and the common rest. */
static const char surnames[] =
	"赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛"
	"奚范彭郎鲁韦昌马苗凤花方俞任袁柳酆鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康"
	"伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵"
	"席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯昝管卢莫经房裘缪干解应宗"
	"丁宣贲邓郁单杭洪包诸左石崔吉钮龚程嵇邢滑裴陆荣翁荀羊於惠甄曲家封芮羿储靳汲邴糜松井段富巫"
	"乌焦巴弓牧隗山谷车侯宓蓬全郗班仰秋仲伊宫宁仇栾暴甘钭厉戎祖武符刘景詹束龙叶幸司韶郜黎蓟薄"
	"印宿白怀蒲邰从鄂索咸籍赖卓蔺屠蒙池乔阴胥能苍双闻莘党翟谭贡劳逄姬申扶堵冉宰郦雍却璩桑桂濮"
	"牛寿通边扈燕冀郏浦尚农温别庄晏柴瞿阎充慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步都耿满弘匡"
	"国文寇广禄阙东欧殳沃利蔚越夔隆师巩厍聂晁勾敖融冷訾辛阚那简饶空曾毋沙乜养鞠须丰巢关蒯相查"
	"后荆红游竺权逯盖益桓公区付肖闫代丘岳亓覃仝仉朴楼涂来佘佟苑郇青闭卿危冼谌靖兰原雒撒邸苟";

static const char *const compound_surnames[] = {
	"欧阳", "司马", "上官", "诸葛", "尉迟", "东方", "皇甫", "公孙", "慕容", "令狐", "司徒", "夏侯",
	"宇文", "长孙", "端木", "南宫", "百里", "呼延", "万俟", "轩辕", "申屠", "太史", "闻人", "独孤",
	"拓跋", "赫连", "澹台", "公冶", "宗政", "濮阳", "淳于", "单于", "钟离", "鲜于", "闾丘", "司空",
	"西门", "东郭", "南门", "公羊", "第五", "纳兰", "完颜", "叶赫", "耶律",
};

/* Pairs of family names that are written for each other. */
static const char surname_variants[] = "肖萧付傅闫阎戴代邱丘宁甯阎闫兰蓝余佘于於仝同";

/* Readings as a family name where ICU has another; then second readings in given names. */
static const char *const surname_readings[] = {
	"朴piao", "缪miao", "覃qin",   "区ou",  "曾zeng", "单shan",  "仇qiu",  "解xie",
	"查zha",  "翟zhai", "盖ge",    "乐yue", "尉yu",   "长zhang", "沈shen", "冼xian",
	"逄pang", "召shao", "种chong", "员yun", "黑he",   "洗xian",  "那na",   "盛sheng",
	"宓mi",   "祭zhai", "任ren",   "华hua", "纪ji",   "燕yan",
};
static const char *const second_readings[] = {
	"乐yue", "长chang", "行hang", "重chong", "曾ceng",  "盛cheng", "朝zhao", "传zhuan",
	"茜xi",  "都dou",   "单dan",  "莘xin",   "厦xia",   "柏bo",    "娜nuo",  "晟cheng",
	"覃tan", "薄bao",   "省xing", "藏cang",  "降xiang", "澄deng",  "柯ke",   "琢zuo",
	"识zhi", "相xiang", "卜bu",   "参shen",  "弹tan",   "瑞rui",   "血xie",  "若ruo",
	"大dai", "地de",    "得dei",  "说yue",   "宿xiu",   "禅shan",  "颉jie",
};

/* Characters that are taken for each other by shape; each group ends with a blank. */
static const char look_alikes[] =
	"祎袆 晴睛清请情 婷停 未末 己已巳 日曰 土士 大太天夫 干千于 人入八 莹萤茔 琳淋 杨扬 玲铃 洁浩 "
	"王玉主 田由甲申 刀力 戊戌戍 兔免 乌鸟 今令 冈同 折拆 候侯 晓饶烧 栋拣 佳住 桦烨 伟纬 "
	"敏毓 颖颍 斌赋 崇祟 萍苹 勉逸 辰晨 嘉喜 茜西 冶治 璐露 梓样 钧钓均 怡治 侠俠峡 诗持 "
	"凡几 丁于 木本禾 永水 小少 戈弋 贝见 车东 毛手 午牛 斤斥 风凤 仑仓 沐休 旦且 市布 "
	"俊峻 骏俊 磊垒 炎灸 幸辛 宜宣 涛祷 淑椒 宏宠 雷霄 雪雷 霞震 锦绵 霖淋 芬芳 若苦 ";

typedef struct HanPair
{
	Rune a;
	Rune b;
} HanPair;

static HanPair pairs[1024];
static int     npairs = 0;
static HanPair surname_pairs[32];
static int     nsurname_pairs = 0;
static Rune    compound[lengthof(compound_surnames)][2];

bool
IsHan(Rune rune)
{
	return (rune >= HAN_FIRST && rune <= HAN_LAST && rune != 0x4DC0) ||
		   (rune >= 0xF900 && rune <= 0xFAFF) || (rune >= 0x20000 && rune <= 0x3FFFF) ||
		   rune == 0x3007;
}

static int
ComparePair(const void *x, const void *y)
{
	const HanPair *p = x, *q = y;

	if (p->a != q->a)
		return p->a < q->a ? -1 : 1;
	return p->b < q->b ? -1 : (p->b > q->b);
}

static uint16
Intern(const char *text)
{
	for (int i = 0; i < nsyllables; i++)
	{
		if (strcmp(syllable[i], text) == 0)
			return i + 1;
	}
	if (nsyllables == MAX_SYLLABLES)
		elog(ERROR, "too many syllables");
	strlcpy(syllable[nsyllables], text, SYLLABLE_SIZE);
	return ++nsyllables;
}

static void
LoadReadings(const char *const *list, int n, int table)
{
	for (int i = 0; i < n; i++)
	{
		Rune rune;

		DecodeText(list[i], &rune, 1);
		reading[table][rune - HAN_FIRST] = Intern(list[i] + 3);
	}
}

static void
LoadLists(void)
{
	static Rune runes[2048];
	int         n;

	if (lists_loaded)
		return;

	n = DecodeText(variants, runes, lengthof(runes));
	for (int i = 0; i + 1 < n; i += 2)
		simplified[runes[i] - HAN_FIRST] = runes[i + 1];

	n = DecodeText(surnames, runes, lengthof(runes));
	for (int i = 0; i < n; i++)
		is_surname[runes[i] - HAN_FIRST] = 1;
	for (int i = 0; i < lengthof(compound_surnames); i++)
		DecodeText(compound_surnames[i], compound[i], 2);
	LoadReadings(surname_readings, lengthof(surname_readings), 1);
	LoadReadings(second_readings, lengthof(second_readings), 2);

	n = DecodeText(surname_variants, runes, lengthof(runes));
	nsurname_pairs = 0;
	for (int i = 0; i + 1 < n && nsurname_pairs < lengthof(surname_pairs); i += 2)
		surname_pairs[nsurname_pairs++] = (HanPair){runes[i], runes[i + 1]};

	n = DecodeText(look_alikes, runes, lengthof(runes));
	npairs = 0;
	for (int i = 0, start = 0; i < n; i++)
	{
		if (runes[i] != ' ')
			continue;
		for (int x = start; x < i; x++)
			for (int y = start; y < i; y++)
				if (x != y && npairs < lengthof(pairs))
					pairs[npairs++] = (HanPair){runes[x], runes[y]};
		start = i + 1;
	}
	qsort(pairs, npairs, sizeof(HanPair), ComparePair);
	lists_loaded = true;
}

/* One character through a transliterator that is opened at first need. */
static int
Transliterate(UTransliterator **handle, const UChar *id, Rune rune, UChar *out, int capacity)
{
	UErrorCode status = U_ZERO_ERROR;
	int32      length = 1, limit = 1;

	if (*handle == NULL)
		*handle = utrans_openU(id, -1, UTRANS_FORWARD, NULL, 0, NULL, &status);
	out[0] = rune;
	if (U_SUCCESS(status))
		utrans_transUChars(*handle, out, &length, capacity, 0, &limit, &status);
	if (U_FAILURE(status))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("ICU failed: %s", u_errorName(status))));
	return length;
}

Rune
Simplified(Rune rune)
{
	static UTransliterator *handle = NULL;
	uint16                 *slot;

	if (rune < HAN_FIRST || rune > HAN_LAST)
		return rune == 0x3007 ? 0x96F6 : rune;
	LoadLists();
	slot = &simplified[rune - HAN_FIRST];
	if (*slot == 0)
	{
		UChar out[16];
		int   n = Transliterate(&handle, u"Traditional-Simplified", rune, out, lengthof(out));

		*slot = n == 1 ? out[0] : rune;
	}
	return *slot;
}

const char *
HanReading(Rune rune, bool surname)
{
	static UTransliterator *handles[2] = {NULL, NULL};
	uint16                 *slot;

	if (rune < HAN_FIRST || rune > HAN_LAST)
		return "";
	LoadLists();
	slot = &reading[surname][rune - HAN_FIRST];
	if (*slot == 0)
	{
		UChar out[32];
		char  text[SYLLABLE_SIZE];
		int   n = Transliterate(&handles[surname],
                              surname ? u"Han-Latin/Names; Latin-ASCII; Lower"
										: u"Han-Latin; Latin-ASCII; Lower",
								rune, out, lengthof(out));
		int   kept = 0;

		for (int i = 0; i < n && kept < SYLLABLE_SIZE - 1; i++)
		{
			if (out[i] >= 'a' && out[i] <= 'z')
				text[kept++] = out[i];
		}
		text[kept] = '\0';
		*slot = Intern(text);
	}
	return syllable[*slot - 1];
}

const char *
OtherReading(Rune rune)
{
	uint16 slot;

	if (rune < HAN_FIRST || rune > HAN_LAST)
		return NULL;
	LoadLists();
	slot = reading[2][rune - HAN_FIRST];
	return slot == 0 ? NULL : syllable[slot - 1];
}

static int
SyllableEnd(const char *s, int n, bool *ends)
{
	static const char *const initials[] = {"zh", "ch", "sh", "b", "p", "m", "f", "d",
										   "t",  "n",  "l",  "g", "k", "h", "j", "q",
										   "x",  "r",  "z",  "c", "s", "y", "w", ""};
	static const char *const finals[] = {
		"a",   "o",   "e",   "i",  "u",   "ai",  "ei",   "ao",  "ou", "an",   "en",  "ang",
		"eng", "ong", "er",  "ia", "ie",  "iao", "iu",   "ian", "in", "iang", "ing", "iong",
		"ua",  "uo",  "uai", "ui", "uan", "un",  "uang", "ue",  "ve", "v"};
	int found = 0;

	for (int i = 0; i < lengthof(initials); i++)
	{
		int skip = strlen(initials[i]);

		if (skip > n || strncmp(s, initials[i], skip) != 0)
			continue;
		for (int f = 0; f < lengthof(finals); f++)
		{
			int length = skip + strlen(finals[f]);

			/* no syllable begins with i, u or v, or with o and more */
			if (skip == 0 && (finals[f][0] == 'i' || finals[f][0] == 'u' || finals[f][0] == 'v'))
				continue;
			if (length <= n && strncmp(s + skip, finals[f], length - skip) == 0)
			{
				ends[length] = true;
				found++;
			}
		}
	}
	return found;
}

/* Could these plain letters be one to four syllables of Mandarin? */
bool
IsPinyin(const char *letters)
{
	bool reach[5][32] = {{false}};
	int  n = strlen(letters);

	if (n < 1 || n > 24)
		return false;
	reach[0][0] = true;
	for (int k = 0; k < 4; k++)
	{
		for (int at = 0; at < n; at++)
		{
			bool ends[32] = {false};

			if (!reach[k][at])
				continue;
			SyllableEnd(letters + at, n - at, ends);
			for (int length = 1; length <= n - at && length < 8; length++)
			{
				if (ends[length])
					reach[k + 1][at + length] = true;
			}
		}
		if (reach[k + 1][n])
			return true;
	}
	return false;
}

int
HanDigit(Rune rune)
{
	static const Rune digits[] = {0x96F6, 0x4E00, 0x4E8C, 0x4E09, 0x56DB,
								  0x4E94, 0x516D, 0x4E03, 0x516B, 0x4E5D};

	if (rune == 0x3007)
		return 0;
	for (int i = 0; i < lengthof(digits); i++)
	{
		if (digits[i] == rune)
			return i;
	}
	return -1;
}

int
SurnameLength(const Rune *name, int n)
{
	LoadLists();
	if (n >= 2)
	{
		for (int i = 0; i < lengthof(compound); i++)
		{
			if (compound[i][0] == name[0] && compound[i][1] == name[1])
				return 2;
		}
	}
	return n >= 1 && name[0] >= HAN_FIRST && name[0] <= HAN_LAST && is_surname[name[0] - HAN_FIRST]
			   ? 1
			   : 0;
}

/* Is a word how this family name is spelt in Hong Kong, Taiwan, overseas? */
bool
IsRomanSurname(const char *word, const char *pinyin)
{
	static const char *const spellings[][2] = {
		{"wong", "wang"},   {"wong", "huang"},  {"chan", "chen"},    {"cheung", "zhang"},
		{"cheong", "zhang"}, {"chang", "zhang"}, {"lee", "li"},       {"ng", "wu"},
		{"ng", "huang"},    {"lam", "lin"},     {"leung", "liang"},  {"ho", "he"},
		{"chow", "zhou"},   {"chou", "zhou"},   {"yeung", "yang"},   {"tsang", "zeng"},
		{"tseng", "zeng"},  {"tang", "deng"},   {"teng", "deng"},    {"kwok", "guo"},
		{"kuo", "guo"},     {"cheng", "zheng"}, {"lau", "liu"},      {"hui", "xu"},
		{"hsu", "xu"},      {"tsui", "xu"},     {"lai", "li"},       {"lai", "lai"},
		{"choi", "cai"},    {"tsai", "cai"},    {"ip", "ye"},        {"yip", "ye"},
		{"yeh", "ye"},      {"fung", "feng"},   {"tse", "xie"},      {"hsieh", "xie"},
		{"tam", "tan"},     {"mak", "mai"},     {"kwan", "guan"},    {"lo", "luo"},
		{"law", "luo"},     {"chiang", "jiang"}, {"kong", "jiang"},  {"chao", "zhao"},
		{"chiu", "zhao"},   {"hsiao", "xiao"},  {"siu", "xiao"},     {"chu", "zhu"},
		{"yau", "qiu"},     {"chiu", "qiu"},    {"au", "ou"},        {"poon", "pan"},
		{"yuen", "yuan"},   {"yuen", "ruan"},   {"so", "su"},        {"mok", "mo"},
		{"to", "du"},       {"tu", "du"},       {"tong", "tang"},    {"lui", "lu"},
		{"lui", "lei"},     {"wan", "yin"},     {"wan", "wen"},      {"woo", "hu"},
		{"wu", "hu"},       {"shum", "shen"},   {"sham", "cen"},     {"kan", "jian"},
		{"tsoi", "cai"},    {"yu", "yu"},       {"yue", "yu"},       {"chin", "qian"},
		{"chien", "qian"},  {"hung", "hong"},   {"sung", "song"},    {"tung", "dong"},
		{"pang", "peng"},   {"shih", "shi"},    {"sze", "shi"},      {"szeto", "situ"},
		{"auyeung", "ouyang"}, {"tsao", "cao"}, {"tso", "cao"},      {"ting", "ding"},
		{"kao", "gao"},     {"ko", "gao"},      {"mei", "mei"},      {"moy", "mei"},
		{"jen", "ren"},     {"yam", "ren"},     {"fong", "fang"},    {"kam", "jin"},
		{"chung", "zhong"}, {"lieu", "liao"},   {"liu", "liao"},     {"suen", "sun"},
	};

	for (int i = 0; i < lengthof(spellings); i++)
	{
		if (strcmp(spellings[i][0], word) == 0 && strcmp(spellings[i][1], pinyin) == 0)
			return true;
	}
	return false;
}

bool
SameSurnameVariant(Rune a, Rune b)
{
	LoadLists();
	for (int i = 0; i < nsurname_pairs; i++)
	{
		if ((surname_pairs[i].a == a && surname_pairs[i].b == b) ||
			(surname_pairs[i].a == b && surname_pairs[i].b == a))
			return true;
	}
	return false;
}

bool
LookAlike(Rune a, Rune b)
{
	HanPair key = {a, b};

	LoadLists();
	return bsearch(&key, pairs, npairs, sizeof(HanPair), ComparePair) != NULL;
}

static int
HanPower(Rune rune)
{
	return rune == 0x5341 ? 10 : rune == 0x767E ? 100 : rune == 0x5343 ? 1000 : 0;
}

/*
 * Numbers written in Han become digits where a sign follows that counts: sign by
 * sign (ä¸ãä¸ is 301) or by tens and hundreds.  Returns the new length, at most size.
 */
int
HanNumbers(Rune *runes, int n, int size, bool (*counts)(Rune))
{
	Rune *from = palloc(Max(n, 1) * sizeof(Rune));
	int   kept = 0;

	memcpy(from, runes, n * sizeof(Rune));
	for (int i = 0; i < n && kept < size;)
	{
		int   end = i, total = 0, last = 0;
		bool  powers = false;
		char *digits;

		while (end < n && end - i < 7 &&
			   (HanDigit(from[end]) >= 0 || HanPower(from[end]) > 0 ||
				(end > i && from[end] == '0'))) /* folding makes 〇 a 0 */
		{
			int power = HanPower(from[end]);

			if (power > 0)
			{
				total += (last == 0 ? 1 : last) * power;
				last = 0;
				powers = true;
			}
			else
				last = (powers ? 0 : last * 10) + Max(HanDigit(from[end]), 0);
			end++;
		}
		if (end == i || end == n || !counts(from[end]))
		{
			/* the whole run stays: a part of it is no number */
			do
				runes[kept++] = from[i++];
			while (i < end && kept < size);
			continue;
		}
		digits = psprintf("%0*d", powers ? 1 : end - i, total + last);
		while (*digits && kept < size)
			runes[kept++] = *digits++;
		i = end;
	}
	pfree(from);
	return kept;
}
