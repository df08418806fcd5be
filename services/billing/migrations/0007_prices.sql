-- The ledger of Relay: prices with tiers, dates and sources, and a multiplier for each request.
--
-- Tiers. A tier is a whole set of prices for requests whose prompt is longer than `above_input_tokens`; it holds for all tokens of
-- such a request, as the providers count. Tiers go upwards in length and never downwards in price, so that more tokens never
-- cost less (invariant I14); billing.set_price refuses others.
--
-- Multiplier. The group of an account sells at a multiple of the price, in parts per million. A hold keeps the multiplier that it
-- was made with: the charge can be computed again whatever the group is later. At most 10, so that no cost overflows: 4·10^18.
--
-- Dates. A version becomes effective at its time and not before it was made; what was held before keeps its version.
SET LOCAL lock_timeout = '2s';

ALTER TABLE billing.price
    ADD COLUMN tiers jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tiers) = 'array'),
    ADD COLUMN context_tokens integer CHECK (context_tokens BETWEEN 1 AND 100000000),
    ADD COLUMN capabilities text[] NOT NULL DEFAULT '{}',
    ADD COLUMN source text NOT NULL DEFAULT '';
COMMENT ON COLUMN billing.price.tiers IS
    '[{"above_input_tokens", "input_pico_usd", "output_pico_usd", "cache_read_pico_usd", "cache_write_pico_usd"}, …], upwards.';
COMMENT ON COLUMN billing.price.source IS 'Where the figures come from, for people to read.';

ALTER TABLE billing.hold ADD COLUMN multiplier_ppm integer NOT NULL DEFAULT 1000000;

CREATE FUNCTION billing.nano_from_pico(pico numeric, multiplier_ppm integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- The one rounding, upwards. div() is exact where `/` would round a long quotient.
    SELECT pg_catalog.div(pico * multiplier_ppm + 999999999, 1000000000)::bigint
$$;

CREATE FUNCTION billing.of_tier(price billing.price, tier jsonb) RETURNS billing.price
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    price.input_pico_usd := tier ->> 'input_pico_usd';
    price.output_pico_usd := tier ->> 'output_pico_usd';
    price.cache_read_pico_usd := tier ->> 'cache_read_pico_usd';
    price.cache_write_pico_usd := tier ->> 'cache_write_pico_usd';
    RETURN price;
END $$;

CREATE FUNCTION billing.at_length(price billing.price, input_tokens bigint) RETURNS billing.price
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    tier jsonb;
BEGIN
    -- The last tier that the prompt exceeds; tiers never become cheaper, so it is the dearest within a bound as well.
    FOR place IN REVERSE jsonb_array_length(price.tiers) - 1 .. 0 LOOP
        tier := price.tiers -> place;
        IF input_tokens > (tier ->> 'above_input_tokens')::bigint THEN
            RETURN billing.of_tier(price, tier);
        END IF;
    END LOOP;
    RETURN price;
END $$;
COMMENT ON FUNCTION billing.at_length IS 'The price with the figures that hold for a prompt of so many tokens.';

CREATE FUNCTION billing.hold_nano_usd(
    price billing.price, input_tokens bigint, output_tokens bigint, multiplier_ppm integer
) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    price := billing.at_length(price, input_tokens);
    -- Nobody knows before the call what the cache will do, so the input is held at its dearest.
    RETURN billing.nano_from_pico(
        input_tokens::numeric * greatest(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd)
        + output_tokens::numeric * price.output_pico_usd,
        multiplier_ppm
    );
END $$;

CREATE FUNCTION billing.affordable_output_tokens(
    price billing.price, input_tokens bigint, available bigint, multiplier_ppm integer
) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest numeric; -- in pico-USD · 10^6
BEGIN
    price := billing.at_length(price, input_tokens);
    rest := available::numeric * 1000000000 - input_tokens::numeric * multiplier_ppm
        * greatest(price.input_pico_usd, price.cache_read_pico_usd, price.cache_write_pico_usd);
    IF rest < 0 THEN
        RETURN 0;
    ELSIF price.output_pico_usd = 0 OR multiplier_ppm = 0 THEN
        RETURN 2000000000;
    END IF;
    RETURN least(div(rest, price.output_pico_usd::numeric * multiplier_ppm), 2000000000);
END $$;

CREATE FUNCTION billing.cost_nano_usd(command billing.command, price billing.price, multiplier_ppm integer) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    price := billing.at_length(price, command.input_tokens);
    RETURN billing.nano_from_pico(
        (command.input_tokens - command.cache_read_tokens - command.cache_write_tokens)::numeric * price.input_pico_usd
        + command.cache_read_tokens::numeric * price.cache_read_pico_usd
        + command.cache_write_tokens::numeric * price.cache_write_pico_usd
        + command.output_tokens::numeric * price.output_pico_usd,
        multiplier_ppm
    );
END $$;

CREATE FUNCTION billing.check_tiers(price billing.price) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    tier jsonb;
    below billing.price := price;
    upper bigint := 0;
BEGIN
    IF jsonb_array_length(price.tiers) > 8 THEN
        RAISE EXCEPTION 'a price has at most 8 tiers' USING ERRCODE = 'check_violation';
    END IF;
    FOR tier IN SELECT t FROM jsonb_array_elements(price.tiers) AS t LOOP
        price := billing.of_tier(price, tier);
        IF ((tier ->> 'above_input_tokens')::bigint > upper
            AND price.input_pico_usd BETWEEN below.input_pico_usd AND 100000000000
            AND price.output_pico_usd BETWEEN below.output_pico_usd AND 100000000000
            AND price.cache_read_pico_usd BETWEEN below.cache_read_pico_usd AND 100000000000
            AND price.cache_write_pico_usd BETWEEN below.cache_write_pico_usd AND 100000000000) IS NOT TRUE
        THEN
            RAISE EXCEPTION 'a tier must be longer than the one before it and nowhere cheaper' USING ERRCODE = 'check_violation';
        END IF;
        upper := tier ->> 'above_input_tokens';
        below := price;
    END LOOP;
END $$;

CREATE FUNCTION billing.set_price(
    model text, input_pico_usd bigint, output_pico_usd bigint, cache_read_pico_usd bigint, cache_write_pico_usd bigint,
    max_output_tokens integer, effective_at timestamptz, tiers jsonb, context_tokens integer, capabilities text[], source text
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    price billing.price;
BEGIN
    IF set_price.effective_at < clock_timestamp() THEN
        RAISE EXCEPTION 'a price cannot become effective in the past' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    price.input_pico_usd := set_price.input_pico_usd;
    price.output_pico_usd := set_price.output_pico_usd;
    price.cache_read_pico_usd := set_price.cache_read_pico_usd;
    price.cache_write_pico_usd := set_price.cache_write_pico_usd;
    price.tiers := set_price.tiers;
    PERFORM billing.check_tiers(price);
    INSERT INTO billing.price (
        model, input_pico_usd, output_pico_usd, cache_read_pico_usd, cache_write_pico_usd, max_output_tokens, effective_at,
        tiers, context_tokens, capabilities, source
    ) VALUES (
        set_price.model, set_price.input_pico_usd, set_price.output_pico_usd, set_price.cache_read_pico_usd,
        set_price.cache_write_pico_usd, set_price.max_output_tokens,
        coalesce(set_price.effective_at, clock_timestamp()),
        set_price.tiers, set_price.context_tokens, set_price.capabilities, set_price.source
    ) RETURNING id INTO price.id;
    RETURN price.id;
END $$;
COMMENT ON FUNCTION billing.set_price(
    text, bigint, bigint, bigint, bigint, integer, timestamptz, jsonb, integer, text[], text
) IS 'Adds a price version, effective now (null) or at a later time, and returns its id. A value out of range is a check_violation, '
    'a time in the past an invalid_parameter_value.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA billing FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    billing.set_price(text, bigint, bigint, bigint, bigint, integer, timestamptz, jsonb, integer, text[], text)
TO relay_billing;
