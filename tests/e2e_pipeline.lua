-- SPDX-License-Identifier: Apache-2.0
-- wrk -s: 16 requests at once.
init = function(args)
	local requests = {}
	for i = 1, 16 do
		requests[i] = wrk.format("GET", "/ok")
	end
	together = table.concat(requests)
end

request = function()
	return together
end
