# crm_member: retail membership inside PostgreSQL
#
# make                 build            make install      install (PG_CONFIG=... picks the server)
# make demo            see it work      make test         every test layer, on a throw-away server
# make installcheck    regression and isolation tests on a running server
# make bench           ours beside plain SQL, ratios printed

EXTENSION = crm_member
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

# What the library is made of, by feature.
OBJS =

# core
OBJS += src/crm_member.o src/catalog.o src/query.o src/argument.o src/configuration.o src/dictionary.o src/secret.o src/table_shape.o src/table.o src/table_write.o src/setting.o src/new_id.o

# exact decimals
OBJS += src/money/decimal.o src/money/units.o src/money/allocate.o

# the condition language
OBJS += src/condition/attribute.o src/condition/token.o src/condition/parse.o src/condition/layout.o \
	src/condition/print.o src/condition/time.o src/condition/evaluate.o src/condition/facts.o src/condition/condition.o src/condition/axis.o src/condition/index.o

# text
OBJS += src/text/icu.o src/text/han.o src/text/name.o src/text/phone.o src/text/email.o src/text/id_number.o src/text/lunar.o src/text/similar.o

# members and cards
OBJS += src/member/refusal.o src/member/config.o src/member/identity.o src/member/member.o src/member/card.o \
	src/member/registration_check.o src/member/batch.o src/member/claim.o src/member/registration.o \
	src/member/register_member.o src/member/import.o src/member/privilege.o

# sales
OBJS += src/sale/checkout.o src/sale/settle.o src/sale/history.o src/sale/bulk.o src/sale/document.o src/sale/answer.o src/sale/row.o \
	src/sale/fact.o src/sale/buyer.o src/sale/refund.o src/sale/refund_goods.o src/sale/refund_tender.o \
	src/sale/refund_row.o src/sale/tender.o

# points
OBJS += src/points/points.o src/points/rule.o src/points/evaluate.o src/points/expiry.o src/points/expire.o src/points/activity.o \
	src/points/ledger.o src/points/lot.o src/points/sweep.o src/points/entry.o src/points/balance.o src/points/act.o \
	src/points/hold.o src/points/reverse.o src/points/transfer.o src/points/merged.o src/points/accrue.o src/points/explain.o \
	src/points/award.o src/points/effect.o src/points/limit.o src/points/bracket.o src/points/simulate.o

# tiers
OBJS += src/tier/tier.o src/tier/standing.o src/tier/holding.o src/tier/climb.o src/tier/review.o \
	src/tier/progress.o src/tier/replay.o

# RFM
OBJS += src/rfm/rfm.o src/rfm/quantile.o src/rfm/score.o src/rfm/day.o \
	src/rfm/collector.o src/rfm/source.o src/rfm/rfm_from.o \
	src/rfm/model.o src/rfm/store.o src/rfm/run.o src/rfm/grid.o \
	src/rfm/alias.o src/rfm/sort.o src/rfm/change.o \
	src/rfm/writer.o src/rfm/snapshot.o src/rfm/segment.o src/rfm/filter.o \
	src/rfm/picture.o src/rfm/svg.o src/rfm/parallel.o \
	src/rfm/pages.o src/rfm/row_fact.o src/rfm/team.o src/rfm/count.o

# matching
OBJS += src/match/match.o src/match/model.o src/match/value.o src/match/name.o src/match/alike.o \
	src/match/plain.o src/match/word.o src/match/place.o src/match/time.o src/match/blind.o src/match/pair.o src/match/block.o \
	src/match/estimate.o src/match/weight.o src/match/cluster.o src/match/decide.o src/match/write.o src/match/evidence.o \
	src/match/key.o src/match/member.o src/match/claim.o src/match/component.o

# merge
OBJS += src/merge/act.o src/merge/merge.o src/merge/unmerge.o src/merge/apply.o src/merge/aside.o src/merge/kin.o src/merge/part.o \
	src/merge/points.o src/merge/forward.o src/merge/lots.o src/merge/debt.o src/merge/limits.o src/merge/tier.o src/merge/golden.o src/merge/erase.o

# jobs
OBJS += src/job/progress.o src/job/worker.o src/job/cron.o src/job/crew.o

# coupons
OBJS += src/coupon/code.o src/coupon/cipher.o src/coupon/template.o src/coupon/apply.o \
	src/coupon/unit.o src/coupon/combine.o src/coupon/row.o src/coupon/take.o src/coupon/judge.o \
	src/coupon/candidate.o src/coupon/price.o src/coupon/claim.o src/coupon/use.o src/coupon/validate.o src/coupon/life.o \
	src/coupon/generate.o

# stored value
OBJS += src/stored_value/stored_value.o src/stored_value/authorise.o src/stored_value/function.o

MODULE_big = $(EXTENSION)

# The install script is these modules in name order; the table definitions of
# sql/schema become the body of the procedure setup() inside it.
SQL_MODULES = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
SCHEMA_MODULES = $(sort $(wildcard sql/schema/[0-9][0-9]_*.sql))
EXTENSION_SCRIPT = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(EXTENSION_SCRIPT)
# scripts of released versions, and those that update from one to the next
DATA = $(filter-out $(EXTENSION_SCRIPT),$(wildcard sql/$(EXTENSION)--*.sql))

REGRESS = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test $(EXPECTEDDIR)
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=crm_member
EXTRA_CLEAN = $(EXTENSION_SCRIPT) src/*.gcno src/*.gcda

PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags icu-uc icu-i18n)
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = $(shell pkg-config --libs icu-uc icu-i18n)

# These need no server headers: they bring what is missing themselves.
TOOL_GOALS = demo test bench
ifneq ($(filter $(TOOL_GOALS),$(MAKECMDGOALS)),)

.PHONY: $(TOOL_GOALS)
$(TOOL_GOALS):
	@bash test/tool/$@.sh

else

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PostgreSQL 16 and later look for expected output beside the input unless told.
EXPECTEDDIR = $(if $(filter-out 13 14 15,$(MAJORVERSION)),--expecteddir=.)

$(OBJS): $(wildcard src/*.h src/*/*.h)

$(EXTENSION_SCRIPT): $(SQL_MODULES) $(SCHEMA_MODULES) $(wildcard sql/migrate/*.sql) $(EXTENSION).control sql/join.sh
	bash sql/join.sh $(SQL_MODULES) > $@.tmp && mv $@.tmp $@

endif
