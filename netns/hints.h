// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/hints.h: what a user can do when the host forbids namespaces or lacks a link type. */
#pragma once
#include "base/err.h"

/** hint_namespaces() - add the hint that fits a failure to make or use a user or network namespace. Return: -1. */
[[gnu::nonnull]] int hint_namespaces(struct azm_err *err);

/** hint_links() - add the hint that fits a failed request for a bridge or a veth pair. Return: -1. */
[[gnu::nonnull]] int hint_links(struct azm_err *err);

/** hint_filter() - add the hint that fits a failure to open or change the packet filter. Return: -1. */
[[gnu::nonnull]] int hint_filter(struct azm_err *err);
